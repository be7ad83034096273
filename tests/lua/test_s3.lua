-- The S3 store against a stand-in that makes every signature and checksum again, and fails on demand.

local t = require "test"
local net = require "net"
local s3 = require "backup.s3"

local SECRET, ACCESS, REGION = "s3cr3t/with+signs", "AKIDEXAMPLE", "eu-test-1"

-- --- a stand-in --------------------------------------------------------------------------------------------

local function bytes_of(hex) return (hex:gsub("%x%x", function(pair) return string.char(tonumber(pair, 16)) end)) end
local function hash(text) return files.sha256_text(text) end

-- RFC 2104, of SHA-256.
local function hmac(key, text)
  if #key > 64 then key = bytes_of(hash(key)) end
  key = key .. ("\0"):rep(64 - #key)
  local inner, outer = key:gsub(".", function(c) return string.char(c:byte() ~ 0x36) end), key:gsub(".", function(c) return string.char(c:byte() ~ 0x5c) end)
  return bytes_of(hash(outer .. bytes_of(hash(inner .. text))))
end

local function hex(bytes) return (bytes:gsub(".", function(c) return ("%02x"):format(c:byte()) end)) end

local function encode(text, keep_slash)
  return (text:gsub(keep_slash and "[^%w%-._~/]" or "[^%w%-._~]", function(c) return ("%%%02X"):format(c:byte()) end))
end

-- "Create a signed AWS API request": the signature as the server computes it.
local function signature_of(request)
  local authorization = request.headers.authorization or ""
  local access, scope, names, signature = authorization:match "^AWS4%-HMAC%-SHA256 Credential=([^/]+)/([^,]+), ?SignedHeaders=([^,]+), ?Signature=(%x+)$"
  if not access then return nil, "no signature" end
  local query = {}
  for name, value in pairs(request.query) do query[#query + 1] = encode(name) .. "=" .. encode(value) end
  table.sort(query)
  local headers = {}
  for name in names:gmatch "[^;]+" do headers[#headers + 1] = name .. ":" .. (request.headers[name] or ""):gsub("^%s+", ""):gsub("%s+$", "") .. "\n" end
  local canonical = table.concat({ request.method, encode(request.path, true), table.concat(query, "&"), table.concat(headers), names, request.headers["x-amz-content-sha256"] }, "\n")
  local date, region, service = scope:match "^(%d+)/([^/]+)/([^/]+)/aws4_request$"
  local to_sign = table.concat({ "AWS4-HMAC-SHA256", request.headers["x-amz-date"], scope, hash(canonical) }, "\n")
  local key = hmac(hmac(hmac(hmac("AWS4" .. SECRET, date), region), service), "aws4_request")
  return access == ACCESS and hex(hmac(key, to_sign)) == signature and region == REGION
end

local function escape(text) return (text:gsub("[&<>]", { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;" })) end
local function xml(status, text) return { status = status, headers = { ["content-type"] = "application/xml" }, body = "<?xml version=\"1.0\"?>\n" .. text } end
local function refuse(status, code, message) return xml(status, ("<Error><Code>%s</Code><Message>%s</Message></Error>"):format(code, message)) end
local function tag(name, text) return ("<%s>%s</%s>"):format(name, escape(tostring(text)), name) end

local function new_standin()
  local self = { objects = {}, uploads = {}, puts = 0, requests = 0, fault = function() end }
  local next_upload = 0

  local function sorted_keys(map, prefix)
    local keys = {}
    for key in pairs(map) do if key:sub(1, #prefix) == prefix then keys[#keys + 1] = key end end
    table.sort(keys)
    return keys
  end

  local function list(query)
    local out, prefixes, seen, most = {}, {}, {}, tonumber(query["max-keys"] or "1000")
    local keys, more = sorted_keys(self.objects, query.prefix or ""), nil
    for _, key in ipairs(keys) do
      local rest = key:sub(#(query.prefix or "") + 1)
      local cut = query.delimiter and rest:find(query.delimiter, 1, true)
      local name = cut and (query.prefix or "") .. rest:sub(1, cut) or key
      if name > (query["continuation-token"] or "") and not seen[name] then
        if #out + #prefixes == most then more = true break end
        seen[name] = true
        if cut then prefixes[#prefixes + 1] = "<CommonPrefixes>" .. tag("Prefix", name) .. "</CommonPrefixes>"
        else out[#out + 1] = "<Contents>" .. tag("Key", key) .. tag("Size", #self.objects[key].body) .. "</Contents>" end
        self.last = name
      end
    end
    return xml(200, "<ListBucketResult>" .. table.concat(out) .. table.concat(prefixes) .. tag("IsTruncated", more and "true" or "false") .. (more and tag("NextContinuationToken", self.last) or "") .. "</ListBucketResult>")
  end

  local function list_uploads(query)
    local out = {}
    for id, upload in pairs(self.uploads) do if upload.key:sub(1, #query.prefix) == query.prefix then out[#out + 1] = "<Upload>" .. tag("Key", upload.key) .. tag("UploadId", id) .. "</Upload>" end end
    return xml(200, "<ListMultipartUploadsResult>" .. table.concat(out) .. "</ListMultipartUploadsResult>")
  end

  local function list_parts(upload, query)
    local numbers, out = {}, {}
    for number in pairs(upload.parts) do numbers[#numbers + 1] = number end
    table.sort(numbers)
    local from, more = tonumber(query["part-number-marker"] or "0"), false
    for _, number in ipairs(numbers) do
      if number > from then
        if #out == 2 then more = true break end
        out[#out + 1] = ("<Part><PartNumber>%d</PartNumber><ETag>\"%s\"</ETag><ChecksumSHA256>%s</ChecksumSHA256></Part>"):format(number, upload.parts[number].hash, upload.parts[number].checksum)
        from = number
      end
    end
    return xml(200, "<ListPartsResult>" .. table.concat(out) .. tag("IsTruncated", tostring(more)) .. (more and tag("NextPartNumberMarker", from) or "") .. "</ListPartsResult>")
  end

  local function complete(query, upload, request)
    local body, digests, number = {}, {}, 0
    for wanted, etag, checksum in request.body:gmatch "<PartNumber>(%d+)</PartNumber><ETag>(.-)</ETag><ChecksumSHA256>(.-)</ChecksumSHA256>" do
      number = number + 1
      local part = upload.parts[tonumber(wanted)]
      if not part or tonumber(wanted) ~= number or part.checksum ~= checksum or etag ~= ('"%s"'):format(part.hash) then return refuse(400, "InvalidPart", "a part is not the one that came") end
      body[number], digests[number] = part.body, bytes_of(part.hash)
    end
    self.objects[upload.key] = { body = table.concat(body), checksum = s3.base64(hash(table.concat(digests))) .. "-" .. number }
    self.uploads[query.uploadId] = nil
    return xml(200, "<CompleteMultipartUploadResult></CompleteMultipartUploadResult>")
  end

  function self.handle(request)
    self.requests = self.requests + 1
    local fault = self.fault(request, self.requests)
    if fault then return fault end
    if not signature_of(request) then return refuse(403, "SignatureDoesNotMatch", "The signature we calculated does not match.") end
    if hash(request.body) ~= request.headers["x-amz-content-sha256"] then return refuse(400, "XAmzContentSHA256Mismatch", "another body") end
    local sum = request.headers["x-amz-checksum-sha256"]
    if sum and sum ~= s3.base64(hash(request.body)) then return refuse(400, "BadDigest", "another checksum") end
    local bucket, key = request.path:match "^/([^/]+)/?(.*)$"
    local method, query = request.method, request.query
    if bucket ~= "shop" then return refuse(404, "NoSuchBucket", "The specified bucket does not exist") end
    local upload = query.uploadId and self.uploads[query.uploadId]
    if query.uploadId and not upload then return refuse(404, "NoSuchUpload", "no such upload") end
    if key == "" then return query.uploads and list_uploads(query) or list(query) end
    local object = self.objects[key]
    if method == "POST" and query.uploads then
      next_upload = next_upload + 1
      self.uploads["u" .. next_upload] = { key = key, parts = {} }
      return xml(200, "<InitiateMultipartUploadResult>" .. tag("UploadId", "u" .. next_upload) .. "</InitiateMultipartUploadResult>")
    elseif method == "POST" then
      return complete(query, upload, request)
    elseif method == "PUT" then
      self.puts = self.puts + 1
      local one = { body = request.body, hash = hash(request.body), checksum = s3.base64(hash(request.body)) }
      if upload then upload.parts[tonumber(query.partNumber)] = one else self.objects[key] = one end
      return { status = 200, headers = { etag = ('"%s"'):format(one.hash), ["x-amz-checksum-sha256"] = self.lie or one.checksum } }
    elseif method == "DELETE" then
      if upload then self.uploads[query.uploadId] = nil else self.objects[key] = nil end
      return { status = 204 }
    elseif method == "GET" and upload then
      return list_parts(upload, query)
    elseif not object then
      return refuse(404, "NoSuchKey", "The specified key does not exist.")
    end
    return { status = 200, headers = { ["x-amz-checksum-sha256"] = request.headers["x-amz-checksum-mode"] and object.checksum or nil }, body = object.body }
  end

  self.server = t.ok(serve.http { handler = self.handle, max_body = 64 << 20 })
  return self
end

-- --- the tests --------------------------------------------------------------------------------------------

local function open(standin, options)
  options = options or {}
  return t.ok(s3.open(("s3://shop/back ups/of shop?endpoint=http://127.0.0.1:%d&region=%s"):format(options.port or standin.server.port, REGION),
    { access_key = ACCESS, secret_key = options.secret or SECRET, part_bytes = 10000, page = 3, timeout = options.timeout or 10 }))
end

local function world(fn)
  local folder = t.ok(files.mkdtemp "/tmp/engine-test-")
  local cleanup <close> = setmetatable({}, { __close = function() files.remove_tree(folder) end })
  t.ok(files.mkdir(folder .. "/b/data"))
  t.ok(files.write(folder .. "/b/data/large é&<>.zst", ("0123456789"):rep(3456) .. "end"))
  for i = 1, 7 do t.ok(files.write(("%s/b/data/%d.zst"):format(folder, i), "content " .. i)) end
  t.ok(files.write(folder .. "/b/empty", ""))
  t.ok(files.write(folder .. "/b/restore.sh", "#!/bin/sh\n"))
  t.ok(files.write(folder .. "/b/COMPLETE", "seal\n"))
  local standin = new_standin()
  fn(folder, standin)
  standin.server:stop(1)
end

local function same(folder, a, b) t.eq(process.run { argv = { "diff", "-r", folder .. "/" .. a, folder .. "/" .. b } }.stdout, "") end

t.case("put, list, fetch, remove", function()
  world(function(folder, standin)
    local store = open(standin)
    t.eq(t.ok(store:list()), {})
    local at
    local sent = t.ok(store:put(folder .. "/b", "one", function(now)
      t.ok(now.done >= (at and at.done or 0) and now.unit == "bytes")
      at = now
    end))
    t.eq(at.done, at.all)
    t.eq(sent.files, 11)
    t.eq(standin.objects["back ups/of shop/one/data/large é&<>.zst"].checksum:match "%-(%d+)$", "4")
    t.ok(store:put(folder .. "/b", "two"))
    standin.objects["back ups/of shop/two/COMPLETE"] = nil
    t.eq(t.ok(store:list()), { { id = "two", complete = false }, { id = "one", complete = true } })
    t.eq(t.ok(store:fetch("one", folder .. "/got")), folder .. "/got/one")
    same(folder, "b", "got/one")
    t.eq(files.stat(folder .. "/got/one/restore.sh").mode & 64, 64)
    local got, err = store:fetch("two", folder .. "/got")
    t.err(got, err, "store")
    t.has(err.message, "no finished backup two")
    t.eq(files.stat(folder .. "/got/two.partial"), nil)
    t.ok(store:remove "one")
    t.eq(t.ok(store:list()), { { id = "two", complete = false } })
  end)
end)

t.case("what the store has is not sent again, and an upload goes on where it ended", function()
  world(function(folder, standin)
    local store = open(standin)
    t.ok(store:put(folder .. "/b", "one"))
    local puts = standin.puts
    t.eq(t.ok(store:put(folder .. "/b", "one")).sent_bytes, 0)
    t.eq(standin.puts, puts)
    t.ok(files.write(folder .. "/b/data/3.zst", "changed 3"))
    t.ok(store:put(folder .. "/b", "one"))
    t.eq(standin.puts, puts + 1)
    -- The third part never comes, and the upload is given up.
    standin.fault = function(request) if request.query.partNumber == "3" then return refuse(400, "Broken", "on purpose") end end
    local sent, err = store:put(folder .. "/b", "two")
    t.err(sent, err, "store")
    t.has(err.message, "400 Broken: on purpose")
    t.eq(standin.objects["back ups/of shop/two/COMPLETE"], nil, "COMPLETE is last")
    standin.fault, puts = function() end, standin.puts
    t.ok(store:put(folder .. "/b", "two"))
    t.eq(t.ok(store:fetch("two", folder .. "/got")), folder .. "/got/two")
    same(folder, "b", "got/two")
    t.eq(next(standin.uploads), nil)
    t.ok(standin.puts - puts <= 2 + 9, "parts one and two were there: " .. standin.puts - puts)
  end)
end)

t.case("errors that pass are tried again, others are said", function()
  world(function(folder, standin)
    local store, failures = open(standin), {}
    standin.fault = function(request)
      local what = request.method .. request.path .. (request.query.partNumber or "")
      failures[what] = (failures[what] or 0) + 1
      if failures[what] == 1 then return refuse(request.method == "PUT" and 500 or 503, "SlowDown", "Please reduce your request rate.") end
    end
    t.ok(store:put(folder .. "/b", "one"))
    failures = {}
    t.ok(store:fetch("one", folder .. "/got"))
    same(folder, "b", "got/one")
    standin.fault = function() return refuse(500, "InternalError", "We encountered an internal error.") end
    local list, err = store:list()
    t.err(list, err, "store")
    t.has(err.message, "500 InternalError: We encountered an internal error. (after 5 attempts)")
    standin.fault = function() end
    list, err = open(standin, { secret = "wrong" }):list()
    t.err(list, err, "store")
    t.has(err.message, "SignatureDoesNotMatch")
    t.has(err.next, "secret access key")
    standin.lie = s3.base64(hash "other")
    t.ok(files.write(folder .. "/b/data/1.zst", "new"))
    local sent
    sent, err = store:put(folder .. "/b", "three")
    t.err(sent, err, "store")
    t.has(err.message, "received other bytes than were sent")
  end)
end)

t.case("a store that is slow, closes connections, or sends too little", function()
  world(function(folder, standin)
    t.ok(open(standin):put(folder .. "/b", "one"))
    -- Slow once: the time limit ends it, and the next attempt succeeds.
    local slept = false
    standin.fault = function(request)
      if request.method == "HEAD" and not slept then
        slept = true
        sleep(3)
      end
    end
    t.ok(open(standin, { timeout = 1 }):list())
    t.ok(slept)
    standin.fault = function() end
    -- A proxy that closes every second connection after the request, and cuts the third answer.
    local listener, number = t.ok(net.listen { host = "127.0.0.1", port = 0 }), 0
    local acceptor = background(function()
      while true do
        local client = listener:accept()
        if not client then return end
        number = number + 1
        local mine = number
        background(function()
          local scope <close> = client
          local request = client:read_until("\r\n\r\n", 5)
          if not request or mine % 2 == 1 then return end
          local server <close> = net.connect { host = "127.0.0.1", port = standin.server.port, timeout = 5 }
          server:write(request .. "\r\nConnection: close\r\n\r\n")
          client:write(server:read_all(5))
        end)
      end
    end)
    local list = t.ok(open(standin, { port = listener.port }):list())
    t.eq(list[1].id, "one")
    acceptor:cancel "done"
    -- An object that is shorter than the list says.
    standin.fault = function(request)
      if request.method == "GET" and request.path:find "/data/2.zst" then return { status = 200, body = "c" } end
    end
    local got, err = open(standin):fetch("one", folder .. "/got")
    t.err(got, err, "store")
    t.has(err.message, "1 bytes came, the store says 9")
    t.eq(files.stat(folder .. "/got/one"), nil)
  end)
end)

t.case("object names that lead out of the folder are refused, and nothing is fetched", function()
  world(function(folder, standin)
    local store = open(standin)
    t.ok(store:put(folder .. "/b", "one"))
    for _, name in ipairs { "../../escape", "/absolute", "a//b", "a/../b", "line\nbreak" } do
      standin.objects["back ups/of shop/one/" .. name] = { body = "x", checksum = "" }
      local got, err = store:fetch("one", folder .. "/got")
      t.err(got, err, "store")
      t.has(err.message, "would lead out of the folder")
      t.eq(files.list(folder .. "/got") or {}, {})
      standin.objects["back ups/of shop/one/" .. name] = nil
    end
    local got, err = store:fetch("../one", folder .. "/got")
    t.err(got, err, "store")
    for _, address in ipairs { "s3:/x", "http://x", "s3://", "s3://b?zone=1" } do
      local opened, problem = s3.open(address)
      t.err(opened, problem, "usage")
    end
  end)
end)

t.case("lists that are cut off, endless, or of something else are refused", function()
  world(function(folder, standin)
    local store = open(standin)
    t.ok(store:put(folder .. "/b", "one"))
    local prefix = "back ups/of shop/one/"
    local function contents(key, size) return "<Contents>" .. tag("Key", key) .. tag("Size", size) .. "</Contents>" end
    local function page(text, more) return "<ListBucketResult>" .. text .. tag("IsTruncated", more and "true" or "false") .. (more and more ~= "" and tag("NextContinuationToken", more) or "") .. "</ListBucketResult>" end
    for words, answer in pairs {
      ["is cut off, or none"] = page(contents(prefix .. "COMPLETE", 5)):sub(1, -12),
      ["cut off, or none"] = "<html>Please log in</html>",
      ["does not say where it goes on"] = page(contents(prefix .. "COMPLETE", 5), ""),
      ["not say where it goes on"] = page("", "the same page again"),
      ["not of it or was there already"] = page(contents(prefix .. "COMPLETE", 5) .. contents(prefix .. "COMPLETE", 5)),
      ["which is not of it"] = page(contents("another/COMPLETE", 5)),
      ["has no size in the store's list"] = page(contents(prefix .. "COMPLETE", "many")),
      ["no size in the store's list"] = page(contents(prefix .. "COMPLETE", -1)),
    } do
      standin.fault = function(request) if request.query["list-type"] then return xml(200, answer) end end
      for _, act in ipairs { function() return store:fetch("one", folder .. "/got") end, function() return store:remove "one" end } do
        local done, err = act()
        t.err(done, err, "store")
        t.has(err.message, words)
      end
    end
    t.eq(files.list(folder .. "/got") or {}, {})
    -- A body that is larger than the list says is not written to its end.
    standin.fault = function(request) if request.method == "GET" and request.path:find "/COMPLETE" then return { status = 200, body = ("x"):rep(1 << 20) } end end
    local got, err = store:fetch("one", folder .. "/got")
    t.err(got, err, "store")
    t.has(err.message, "larger than the limit of its file")
  end)
end)

t.case("an upload is done when the store says so of the object, whatever it answered", function()
  world(function(folder, standin)
    local store, completions = open(standin), 0
    local function is_completion(request) return request.method == "POST" and request.query.uploadId end
    -- 200, and an error within: it is asked again, and then it is done.
    standin.fault = function(request)
      if is_completion(request) then
        completions = completions + 1
        if completions == 1 then return xml(200, "<Error><Code>InternalError</Code><Message>We encountered an internal error.</Message></Error>") end
      end
    end
    t.ok(store:put(folder .. "/b", "one"))
    t.eq(completions, 2)
    -- The same for ever.
    standin.fault = function(request) if is_completion(request) then return xml(200, "<Error><Code>InternalError</Code><Message>never</Message></Error>") end end
    local sent, err = store:put(folder .. "/b", "two")
    t.err(sent, err, "store")
    t.has(err.message, "InternalError: never")
    -- It was done, and the answer was lost: the upload is no more, the object is there.
    local lost = false
    standin.fault = function(request)
      if is_completion(request) and not lost then
        lost, standin.fault = true, function() end
        standin.handle(request)
        return { status = 503, body = "" }
      end
    end
    t.ok(store:put(folder .. "/b", "three"))
    t.ok(lost)
    t.ok(store:fetch("three", folder .. "/got"))
    same(folder, "b", "got/three")
    -- What the store lists at the end is what was sent, and nothing else.
    standin.objects["back ups/of shop/three/more"] = { body = "x", checksum = "" }
    sent, err = store:put(folder .. "/b", "three")
    t.err(sent, err, "store")
    t.has(err.message, "three/more does not belong to the backup")
  end)
end)

t.case("the answer to HEAD may tell of any size", function()
  local server = t.ok(serve.http { handler = function() return { status = 200, body = ("x"):rep(5 << 20) } end })
  local response = t.ok(http.request { method = "HEAD", url = ("http://127.0.0.1:%d/"):format(server.port), max_response = 1000 })
  t.eq(response.headers["content-length"], tostring(5 << 20))
  server:stop(1)
end)
