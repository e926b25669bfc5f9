//! Servers that everybody runs, as Debian packages them, reached by name from other containers and by published ports from outside.

#![allow(missing_docs)]

use conex_tests::{eventually, server_yard};

/// As the official image does it: the log is the container's.
const NGINX: &str = "ln -sf /dev/stdout /var/log/nginx/access.log; ln -sf /dev/stderr /var/log/nginx/error.log; \
    echo a page >/var/www/html/index.html; exec nginx -g 'daemon off;'";

#[test]
fn nginx_by_name_by_port_and_with_the_client_s_address() {
    let yard = server_yard!();
    let (conex, host) = (&yard.conex, &yard.host);
    conex.ok(&["network", "create", "--ipv6", "site"]);
    yard.start("web", &["--network", "site:alias=www", "-p", "8080:80"], NGINX);
    yard.start("client", &["--network", "site"], "exec sleep 600");
    // By name and by alias, over both families; the log has who asked.
    yard.says("client", "curl -sS -m5 http://web/", "a page");
    let (v4, v6) = (
        yard.address_on("client", "site", "IPAddress"),
        yard.address_on("client", "site", "GlobalIPv6Address"),
    );
    let log = || conex.ok(&["logs", "web"]);
    for (family, address) in [("-4", &v4), ("-6", &v6)] {
        for name in ["web", "www", "www.site"] {
            let agent = format!("{name}{family}");
            let ask = format!("curl {family} -sS -m5 -A {agent} http://{name}/");
            assert_eq!(yard.try_exec("client", &ask).as_deref(), Some("a page"), "{ask}");
            let line = eventually("the log's line", || {
                log().lines().find(|line| line.contains(&agent)).map(str::to_owned)
            });
            assert!(line.starts_with(&format!("{address} ")), "{line}");
        }
    }
    // From outside, by the published port: the client's own address there, too.
    for (url, address) in
        [("http://192.0.2.1:8080/out4", "192.0.2.2"), ("http://[2001:db8::1]:8080/out6", "2001:db8::2")]
    {
        host.world(&format!("timeout 5 busybox wget -qO- {url} || true"));
        let path = &url[url.len() - 4..];
        let line = eventually("the log's line", || {
            log().lines().find(|line| line.contains(path)).map(str::to_owned)
        });
        assert!(line.starts_with(&format!("{address} ")), "{line}");
    }
    assert_eq!(host.world("timeout 5 busybox wget -qO- http://192.0.2.1:8080/"), "a page\n");
    // Reloaded in place it serves on.
    conex.ok(&["exec", "web", "nginx", "-s", "reload"]);
    yard.says("client", "curl -sS -m5 http://www/", "a page");
    conex.ok(&["stop", "web"]);
    assert_eq!(yard.try_exec("client", "curl -sS -m5 http://web/"), None);
}

#[test]
fn a_redis_replica_follows_its_primary_s_name() {
    let yard = server_yard!();
    let conex = &yard.conex;
    conex.ok(&["network", "create", "cache"]);
    let flags = ["--network", "cache", "--user", "redis", "--workdir", "/var/lib/redis"];
    let server = "exec redis-server --bind '*' --protected-mode no --appendonly yes";
    yard.start("primary", &flags, server);
    yard.start("replica", &flags, &format!("{server} --replicaof primary 6379"));
    yard.start("client", &["--network", "cache"], "exec sleep 600");
    yard.says("client", "redis-cli -h primary ping", "PONG");
    yard.says("client", "redis-cli -h primary set key first", "OK");
    yard.says("client", "redis-cli -h primary get key", "first");
    yard.says("client", "redis-cli -h replica get key", "first");
    // The primary comes back elsewhere: its old address is another's by then.
    let before = yard.address_on("primary", "cache", "IPAddress");
    conex.ok(&["stop", "primary"]);
    yard.start("squatter", &["--network", &format!("cache:ip={before}")], "exec sleep 600");
    conex.ok(&["start", "primary"]);
    assert_ne!(yard.address_on("primary", "cache", "IPAddress"), before);
    yard.says("client", "redis-cli -h primary get key", "first");
    yard.says("client", "redis-cli -h primary set key second", "OK");
    yard.says("client", "redis-cli -h replica get key", "second");
}

#[test]
fn postgres_behind_an_application_on_two_networks() {
    let yard = server_yard!();
    let (conex, host) = (&yard.conex, &yard.host);
    conex.ok(&["network", "create", "front"]);
    conex.ok(&["network", "create", "--internal", "back"]);
    let db = "PATH=$(echo /usr/lib/postgresql/*/bin):$PATH; export PGDATA=/var/lib/postgresql/data; \
        [ -e $PGDATA ] || { initdb --no-sync --auth=peer --encoding=UTF8; echo host all all samenet trust >>$PGDATA/pg_hba.conf; }; \
        exec postgres -c listen_addresses='*' -c unix_socket_directories=/tmp";
    yard.start("db", &["--network", "back", "--user", "postgres"], db);
    // Each request is a row, counted; whatever serves scripts would do.
    let app = "mkdir -p /srv/cgi-bin; cd /srv/cgi-bin; { echo '#!/bin/sh'; echo 'echo; echo; exec psql -h db -U postgres \
        -qAtc \"insert into visits values (now()); select count(*) from visits\"'; } >visit; chmod +x visit; \
        exec busybox httpd -f -p 8000 -h /srv";
    yard.start("app", &["--network", "front", "--network", "back"], app);
    let site = "server { listen 80; location / { proxy_pass http://app:8000; } }";
    let web = format!("echo '{site}' >/etc/nginx/sites-enabled/default; {NGINX}");
    yard.start("web", &["--network", "front", "-p", "8080:80"], &web);
    yard.says("app", "psql -h db -U postgres -Atc 'create table visits (at timestamptz)'", "CREATE TABLE");
    let visit = "timeout 5 busybox wget -qO- http://192.0.2.1:8080/cgi-bin/visit";
    let mut first = String::new();
    eventually("the first visit", || {
        first = host.try_world(visit).stdout.trim().to_owned();
        (!first.is_empty()).then_some(())
    });
    let first: u32 = first.parse().unwrap_or_else(|error| panic!("{first}: {error}"));
    assert_eq!(host.world(visit).trim().parse(), Ok(first + 1));
    // Who is in front knows nothing of what is behind, by name or by address.
    assert_eq!(yard.try_exec("web", "getent hosts db"), None);
    let address = yard.address_on("db", "back", "IPAddress");
    assert_eq!(yard.try_exec("web", &format!("curl -m2 -s telnet://{address}:5432 </dev/null")), None);
    // The database ends by itself when it is asked to, its rows are there when it is back, and the application finds it.
    conex.ok(&["stop", "--signal", "INT", "db"]);
    assert_eq!(conex.inspect("db")["State"]["ExitCode"], 0);
    conex.ok(&["start", "db"]);
    let expected = (first + 2).to_string();
    eventually("a visit after the restart", || {
        let said = host.try_world(visit).stdout;
        (!said.trim().is_empty()).then(|| assert_eq!(said.trim(), expected))
    });
}
