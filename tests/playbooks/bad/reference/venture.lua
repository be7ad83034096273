-- A secret that does not say where it is kept.
return {
  name = "reference", id = 1,
  database = { url = secret "REFERENCE_DATABASE" },
}
-- expect 4:3 `d` secret "REFERENCE_DATABASE" does not say where it is kept; did you mean secret "env:REFERENCE_DATABASE"?
