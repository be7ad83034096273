--- explain.codes: what usually brings an error code about, and what to do then; `engine explain CODE` and the reference print it. What a code means stands in
-- engine/base/err_codes.def. Each is a list of { cause, what to do }.

return {
  internal = {
    { "The engine's own code did not foresee something.", "Run `engine log RUN --verify`, keep the state folder, and report both with the command line." },
    { "Memory or disk of the machine gives back other bytes than were written.", "Look at the kernel's messages before trusting the machine again." },
  },
  memory = {
    { "A playbook reads something large as one text, such as a whole log.", "Read a part of it (files.read_tail), or let http and process write into a file." },
    { "A script collects rows or lines without end.", "Ask the database for the figure instead of the rows." },
  },
  script = {
    { "A name is nil that should not be: a call without expect() gave nil, err.", "Write expect(...) around calls that can fail; `engine check` finds unknown names." },
    { "A loop computes for ten seconds without waiting, and was stopped.", "Wait within it (sleep, http, sql), or compute less." },
    { "A part of the venture raises what the stock part does not.", "Try it without production: `engine test`, `engine simulate`." },
  },
  usage = {
    { "An option or word is misspelt, missing, or given twice.", "`engine COMMAND --help` lists them; `engine PLAYBOOK --help` what a playbook takes." },
    { "A function of the library got a value of another kind.", "Read its page in docs/reference, or ?NAME in the console; `engine check` finds literal ones." },
  },
  config = {
    { "A key of venture.lua is misspelt or stands in another section.", "The message names the nearest one; docs/reference/venture.md lists all of them." },
    { "A value has another type or is out of its range.", "`engine config --venture DIR --origin KEY` shows the value and where it comes from." },
    { "An environment variable that env(\"NAME\") reads is not set here, in cron or in the service.", "Set it there, or give it a default: env(\"NAME\", \"...\")." },
  },
  playbook = {
    { "A Lua file has a syntax error: a comma, an `end` or a quotation mark is missing.", "Look at the line that the message names and the one above it; `engine check` says more." },
    { "The file does not end with `return playbook { ... }`.", "A part returns a function, a playbook returns `playbook { ... }`, venture.lua returns a table." },
    { "A module that it requires is not there.", "Modules are looked for in the venture's folder, the playbook's folder, and what is built in." },
  },
  sandbox = {
    { "A playbook names os, io, debug or package.", "Use process for commands, files for files, clock for the time." },
    { "venture.lua calls something.", "A configuration only describes: it has secret, env, minutes and hours." },
  },
  secret = {
    { "The variable of secret \"env:NAME\" is not set for the user that runs the engine.", "Set it where the engine is started; sudo and cron begin with an empty environment." },
    { "The file of secret \"file:/path\" is not there, is empty, or others can read it.", "chmod 600 it, and give it to the user that runs the engine." },
    { "The vault is sealed, the token expired, or the path has no such key.", "Unseal it or renew the token; the message has the vault's own words." },
  },
  not_found = {
    { "A run's id is misspelt or belongs to another journal.", "`engine status` lists the runs of the journal that --state, --venture or --journal name." },
    { "A path is relative, and this is another folder.", "Give the path from here, or an absolute one." },
    { "The release's folder has another name than the release.", "Releases are folders in `releases.folder` of venture.lua." },
  },
  capability = {
    { "A part runs a command, asks a host or writes a path that `grants` of venture.lua does not allow.", "Add it there if it should be allowed; `engine check --venture DIR` finds it before a run does." },
    { "An address has changed, and the grant has not.", "`engine config --venture DIR --origin grants` shows what is granted and where." },
  },
  read_only = {
    { "The console is not armed.", "arm(\"10m\", \"why\"), then say it again; plan(...) shows what it would do." },
    { "A step changes the world and does not say so.", "Give the step its effect: probed, idempotent, keyed or manual (docs/playbooks.md)." },
  },
  timeout = {
    { "The other side is up and slow, or a firewall drops what is sent to it.", "Try it by hand from this machine; raise the timeout of that check or driver when it is right." },
    { "A database waits for a lock.", "Look at who holds it (pg_stat_activity), and try again after it." },
  },
  canceled = {
    { "Another part of the same step failed first.", "Read the first error of the step; this one is its consequence." },
    { "The run was taken back or interrupted.", "Nothing: what was under way is taken back by the run." },
  },
  deadline = {
    { "What a step waited for did not come.", "`engine log RUN` shows its last output; look at that part of the world." },
    { "The step's deadline is shorter than it takes.", "`engine report RUN` shows how long it took in other runs; raise the deadline." },
  },
  interrupted = {
    { "Ctrl-C, or a signal that ends the engine.", "`engine resume RUN` goes on, `engine rollback RUN` takes it back; the guardian does what venture.lua says." },
  },
  closed = {
    { "The other side restarted, or ended a connection that was idle.", "Try again; look at its log when it happens twice." },
    { "A proxy or pooler between both has a shorter time limit.", "Compare its limits with how long the request takes." },
  },
  connect = {
    { "Nothing listens at that address and port.", "Start the server, and look with `ss -ltn` (a unix socket: `ss -lx`)." },
    { "The path of a unix socket is another one, or its user may not be us.", "Compare it with the server's own configuration; a user in its group may open it." },
    { "A firewall refuses.", "Try it from this machine with the same user." },
  },
  resolve = {
    { "The host's name is misspelt or known only in another network.", "Try `getent hosts NAME` on this machine." },
    { "The resolver does not answer.", "Look at /etc/resolv.conf and at the resolver." },
  },
  tls = {
    { "The certificate is expired, or made for another name.", "Renew it, or use the name that it was made for." },
    { "It is issued by an authority that this machine does not know.", "Install the authority's certificate on this machine." },
  },
  io = {
    { "The disk is full, or the file system is read-only.", "`df -h` and `mount` show it; what was begun is not half there." },
    { "A file was taken away while it was read.", "Find out who did; then run again." },
  },
  protocol = {
    { "Another kind of server listens at that address.", "Compare the address with the server that is meant." },
    { "A proxy between both answers with a page of its own.", "Ask the server directly, and look at the proxy's log." },
  },
  limit = {
    { "An answer, a file or a row is larger than what is read at once.", "Raise the limit in that call if the size is right, or write the answer into a file." },
    { "A unix socket's path is longer than 107 bytes.", "Use a shorter path." },
  },
  exists = {
    { "It was made by an earlier run or by somebody else.", "Look at what is there; choose another name, or remove it." },
  },
  permission = {
    { "The engine runs as another user than the one that owns the file, folder or socket.", "`ls -l` shows the owner; run as that user, or give the group access." },
    { "The folder was made by root in an earlier run.", "chown it to the user that runs the engine now." },
  },
  http = {
    { "The server answered another status than the one expected.", "The message has status and the answer's beginning: 401 and 403 are a login, 404 a path, 5xx its log." },
    { "The answer lacks a field or text that the check asks for.", "Ask the same with curl, and compare." },
  },
  mail = {
    { "The server refuses the sender, the recipient or the login.", "Its own words are in the message; try the same addresses from another client." },
    { "It takes mail only over TLS or on another port.", "smtp:// is plain on 25 or 587 with STARTTLS; smtps:// is 465." },
  },
  process = {
    { "The program is not there, or not in the PATH of the user that runs the engine.", "Give its absolute path; `command -v NAME` shows it." },
    { "It ended with an error.", "Its last output is in the message and in `engine log RUN`." },
    { "An application did not become healthy.", "Start it by hand with the same words; its log is in the state folder." },
  },
  sql = {
    { "The user, password or database's name is wrong.", "Try the same address with psql from this machine." },
    { "The user may not do it.", "GRANT it, or use the role that owns the tables." },
    { "A table or column is not there: a migration is missing, or the statement is of another release.", "`engine status RUN` shows which migrations ran." },
  },
  check = {
    { "What is looked at is not well.", "The message names the check and what it saw; ask the same by hand." },
    { "The check asks for more than there is: another field, status or figure.", "Compare it with the answer, and correct the check in venture.lua." },
  },
  gate = {
    { "Nobody has approved this release, or approved another digest of it.", "Get the approval for exactly this release, then run again." },
    { "venture.lua declares no gates.", "Declare the evidence that a deployment may begin (`gates`)." },
  },
  traffic = {
    { "The backend or a server is called otherwise in the proxy.", "`echo 'show servers state' | socat stdio SOCKET` lists them; compare `traffic` in venture.lua." },
    { "The proxy restarted and has its weights from its configuration again.", "Find out why; the run sets and reads them back." },
    { "Somebody else, or a script, sets weights too.", "One at a time: stop the other one." },
  },
  drain = {
    { "Requests or streams last longer than drain_timeout.", "`show sess` of the proxy shows them; raise traffic.drain_timeout, or let the application end them." },
  },
  breach = {
    { "The new release answers errors or is slower.", "`engine report RUN` has figures, limits and samples; look at the new colour's log." },
    { "A limit is stricter than what is normal here.", "Compare with the old colour's figures in the report; canary in venture.lua has the limits." },
  },
  no_data = {
    { "The proxy does not log to the engine's socket or port.", "haproxy: log 127.0.0.1:PORT len 4096 local0, option httplog, log global in the backend's frontend." },
    { "No client asks.", "Send requests, or wait for a time with traffic: a stage needs canary.min_requests." },
  },
  backup = {
    { "The folder of the backups is full or not writable.", "`df -h` and `ls -ld` show it; nothing incomplete counts as a backup." },
    { "pg_dump is missing or older than the server.", "Install the server's version of the client tools." },
    { "The user may not read every table.", "GRANT pg_read_all_data, or use the owner." },
  },
  backup_corrupt = {
    { "A disk or a copy changed bytes of a backup.", "Do not use it: take another, and look at the disk. `engine backup list` shows what else there is." },
    { "Somebody edited a file of it.", "`engine backup verify BACKUP --checksum SHA256` tells whether it is the one that was taken." },
  },
  backup_mismatch = {
    { "The database's own file is damaged.", "Check the database (pg_amcheck, PRAGMA integrity_check) before anything is deployed." },
    { "It was restored into a server of another version or collation.", "Drill on a server like the live one." },
  },
  store = {
    { "The keys, the bucket's name or the region are wrong.", "The store's own words are in the message; try the same keys with another client." },
    { "The store is away.", "Try again: what was sent stays, and only what is missing is sent." },
  },
  rollback = {
    { "What a rollback needs is itself down: the proxy, the database, the old colour.", "Bring it back, then `engine rollback RUN` goes on from the state that is recorded." },
    { "The old colour does not answer any more.", "Start it by hand with the command of venture.lua; take traffic to it before anything else." },
  },
  approval = {
    { "Somebody said no.", "`engine log RUN` has who and why." },
    { "Nobody answered in time (approvals.timeout).", "Run again when somebody is there to answer, with `engine approve RUN`." },
  },
  journal = {
    { "The state folder is full, read-only, or belongs to another user.", "`df -h` and `ls -ld` show it; a run never goes on without its journal." },
    { "The file is no journal, is damaged, or was written by a newer engine.", "Use the engine that wrote it, or name another folder with --state DIR." },
    { "The shared journal's database is away.", "Bring it back; a run waits for it as long as journal_wait says." },
  },
  lock_held = {
    { "Another run of the same venture is under way.", "`engine status` shows it; wait, or take it back with `engine rollback`." },
    { "Its engine died on another machine.", "`engine unlock RUN` says whose lock it is; --yes takes it away." },
  },
  in_doubt = {
    { "The engine died in the middle of a step that nothing can ask about.", "Look at the world, then `engine approve RUN` says that it happened and --no that it did not." },
  },
  replay = {
    { "A file of the playbook or the venture was changed since the run began.", "`engine resume RUN --rebase` shows what changed and takes the files of now." },
    { "The playbook does something that is not the same each time, such as pairs() or the time outside of a step.", "Use run:record, ipairs, clock.wall (docs/playbooks.md, \"A run is gone through again\")." },
  },
  drift = {
    { "Somebody changed weights, releases or data since the plan or since the engine died.", "Find out who; make the plan again, or let the run roll back." },
  },
  rollback_asked = {
    { "Somebody ran `engine rollback RUN`, or the guardian did.", "`engine log RUN` has who and why." },
  },
}
