return playbook {
  name = "x"
  about = "a comma is missing above",
}
-- expect 3:3 `about` '}' expected, which ends '{' of line 1, near 'about'
