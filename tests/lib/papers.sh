# What a paper must be, for scripts that have made one: well-formed, without anything that runs or is loaded, and readable in a real browser,
# by day and by night, on a phone and on paper. Sourced; needs a folder $scratch.

# xpath EXPRESSION FILE: what it gives, without namespaces in the way.
paper_xpath() { sed 's| xmlns="[^"]*"||g' "$2" | xmllint --xpath "$1" - 2> /dev/null; }

# paper_well_formed HTML TITLE CHARTS: any parser reads it; it has so many charts, each with its name and its numbers.
paper_well_formed() {
  local html=$1 title=$2 charts=$3
  xmllint --noout "$html" || return 1
  [ "$(paper_xpath 'string(//title)' "$html")" = "$title" ] || { echo "title: $(paper_xpath 'string(//title)' "$html")"; return 1; }
  local runs_or_loads='//script | //link | //img | //iframe | //object | //embed | //form | //@src | //@*[starts-with(name(), "on")]'
  [ "$(paper_xpath "count($runs_or_loads)" "$html")" = 0 ] || { echo "something runs or is loaded"; return 1; }
  # Each is there for a screen and for a phone.
  local drawings
  drawings=$(paper_xpath 'count(//svg[@role="img"][title][desc])' "$html")
  [ "$drawings" = $((2 * charts)) ] || { echo "$drawings drawings, expected $((2 * charts))"; return 1; }
  [ "$(paper_xpath 'count(//div[@class="plot"][figure][details//td])' "$html")" = "$charts" ] || { echo "a chart has no numbers"; return 1; }
  [ "$(paper_xpath 'count(//*[@id]) = count(//*[@id][not(@id = preceding::*/@id)])' "$html")" = true ] || { echo "an id is there twice"; return 1; }
}

# browser ARGUMENT...: headless chromium with a profile of its own.
browser() {
  local profile status=0
  profile=$(mktemp -d "$scratch/browser-XXXXXX")
  timeout 60 chromium --headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking \
    --disable-component-update --disable-sync --hide-scrollbars --allow-file-access-from-files --user-data-dir="$profile" "$@" 2> "$scratch/browser.err" || status=$?
  rm -rf "$profile"
  return $status
}

# paper_measure SCHEME HTML...: of each on a screen and on a phone "WIDTH: overflow=PIXELS charts=VISIBLE ground=COLOUR;", by day (1) or by night (0).
paper_measure() {
  local scheme=$1 html width
  shift
  {
    echo '<!DOCTYPE html>'
    for html in "$@"; do for width in 1100 390; do echo "<iframe src='file://$html' style='width:${width}px;height:900px;border:0'></iframe>"; done; done
    cat << 'END'
<p id="found"></p><script>
onload = function () {
  document.querySelectorAll("iframe").forEach(function (frame) {
    var d = frame.contentDocument, width = frame.clientWidth, seen = 0;
    d.querySelectorAll("svg").forEach(function (one) { if (one.getBoundingClientRect().width > 0) seen++; });
    document.getElementById("found").textContent += width + ": overflow=" + (d.documentElement.scrollWidth - width) + " charts=" + seen
      + " ground=" + frame.contentWindow.getComputedStyle(d.body).backgroundColor + "; ";
  });
};</script>
END
  } > "$scratch/measure.html"
  browser --blink-settings=preferredColorScheme="$scheme" --window-size=1600,1000 --virtual-time-budget=3000 --dump-dom "file://$scratch/measure.html" \
    | sed -n 's/.*<p id="found">\(.*\)<\/p>.*/\1/p'
}

# png_size FILE: WIDTHxHEIGHT, as its header says.
png_size() { od -An -tu1 -j16 -N8 "$1" | awk '{ print $1 * 16777216 + $2 * 65536 + $3 * 256 + $4 "x" $5 * 16777216 + $6 * 65536 + $7 * 256 + $8 }'; }

# paper_fits SCHEME GROUND [HTML CHARTS]...: nothing is cut off, so many charts are to be seen, on that ground.
paper_fits() {
  local scheme=$1 ground=$2 pages=() expected='' found one
  shift 2
  while [ $# -gt 0 ]; do
    one="overflow=0 charts=$2 ground=$ground; "
    pages+=("$1") expected+="1100: ${one}390: $one"
    shift 2
  done
  found=$(paper_measure "$scheme" "${pages[@]}")
  [ "$found" = "$expected" ] || { echo "seen: $found"; tail -2 "$scratch/browser.err"; return 1; }
}
papers_by_day() { paper_fits 1 'rgb(253, 253, 251)' "$@"; }
papers_by_night() { paper_fits 0 'rgb(22, 24, 27)' "$@"; }

# paper_pictures HTML: a picture and a print of it can be made.
paper_pictures() {
  browser --window-size=1100,1400 --screenshot="$scratch/seen.png" "file://$1" > /dev/null
  [ "$(png_size "$scratch/seen.png")" = 1100x1400 ] || { echo "no picture: $(tail -2 "$scratch/browser.err")"; return 1; }
  browser --no-pdf-header-footer --print-to-pdf="$scratch/seen.pdf" "file://$1" > /dev/null
  [ "$(head -c 5 "$scratch/seen.pdf")" = %PDF- ] || { echo "not printed: $(tail -2 "$scratch/browser.err")"; return 1; }
}
