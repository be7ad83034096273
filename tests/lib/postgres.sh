# A PostgreSQL cluster of a test's own. Source this file.
#
#   pg_start DIR     makes a cluster in DIR (unless it is there) and starts it on a free port of 127.0.0.1
#                    and on a unix socket in DIR; returns when it answers.
#                    Exports PGHOST (127.0.0.1), PGPORT, PGUSER, PGDATABASE (postgres) and URL; PG_PID is
#                    the server, PG_SOCKET the folder of its socket.
#   pg_stop [MODE]   stops it: fast (default), smart or immediate; DIR stays and pg_start starts it again
#                    on the same port.
#   pg_sql TEXT      runs a statement with psql, printing bare rows.

PG_BIN=${PG_BIN:-$(ls -d /usr/lib/postgresql/*/bin | sort -V | tail -1)}

_pg_as() { # the server refuses to run as root
    if [ "$(id -u)" = 0 ]; then setpriv --reuid=postgres --regid=postgres --clear-groups "$@"; else "$@"; fi
}

_pg_free_port() {
    # perl-base is part of every Debian. Below the ports that the kernel gives to connections.
    perl -MIO::Socket::INET -e '
        for (1 .. 1000) {
            my $port = 10000 + int rand 22000;
            IO::Socket::INET->new(Listen => 1, LocalAddr => "127.0.0.1", LocalPort => $port) or next;
            print "$port\n";
            exit;
        }
        exit 1'
}

pg_start() {
    PG_DIR=$(realpath -m "$1")
    PG_SOCKET=$PG_DIR/socket
    if [ ! -e "$PG_DIR/data/PG_VERSION" ]; then
        mkdir -p "$PG_SOCKET"
        if [ "$(id -u)" = 0 ]; then chown -R postgres: "$PG_DIR"; fi
        (cd "$PG_DIR" && _pg_as "$PG_BIN/initdb" -D "$PG_DIR/data" -U postgres -A trust -E UTF8 --locale=C.UTF-8 --no-sync) \
            >"$PG_DIR/initdb.log" 2>&1 || { cat "$PG_DIR/initdb.log" >&2; return 1; }
        _pg_free_port >"$PG_DIR/port"
    fi
    export PGHOST=127.0.0.1 PGPORT PGUSER=postgres PGDATABASE=postgres URL
    PGPORT=$(cat "$PG_DIR/port")
    URL=postgres://postgres@127.0.0.1:$PGPORT/postgres
    # -w returns when the server answers.
    (cd "$PG_DIR" && _pg_as "$PG_BIN/pg_ctl" -w -t 60 -D "$PG_DIR/data" -l "$PG_DIR/server.log" \
        -o "-c listen_addresses=127.0.0.1 -p $PGPORT -k $PG_SOCKET -c fsync=off ${PG_OPTIONS:-}" start) >/dev/null ||
        { tail -20 "$PG_DIR/server.log" >&2; return 1; }
    PG_PID=$(head -1 "$PG_DIR/data/postmaster.pid")
}

pg_stop() {
    [ -e "$PG_DIR/data/postmaster.pid" ] || return 0
    (cd "$PG_DIR" && _pg_as "$PG_BIN/pg_ctl" -w -D "$PG_DIR/data" -m "${1:-fast}" stop) >/dev/null
}

pg_sql() {
    psql -X -q -At -v ON_ERROR_STOP=1 -c "$1"
}
