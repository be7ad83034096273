return function()
  step("30.0 our own gates", function()
    expect(process.run { argv = { "kubectl", "get", "pods" } })
    expect(process.run { argv = { "/usr/bin/kubectl", "get", "pods" } })
    expect(process.run { argv = { "bash", "-c", "date" } })
    expect(http.get "http://api.example.test/freeze")
    expect(sql.open "postgres://db.example.test/app")
    expect(files.read "/etc/grants/freeze")
    expect(files.read "/etc/passwd")
    expect(files.write("/var/lib/grants/note", "x"))
    expect(files.write("/etc/grants/note", "x"))
  end)
end
-- expect 5:35 `"bash"` this runs bash, which the venture does not grant
-- expect 6:21 `"http://api.example.test/freeze"` this reaches api.example.test:80
-- expect 9:23 `"/etc/passwd"` this reads /etc/passwd
-- expect 11:24 `"/etc/grants/note"` this writes /etc/grants/note
