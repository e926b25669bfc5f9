//! Real firewalls of the host: Debian's firewalld and ufw, run by its own engine in a privileged container on the host's network, where
//! they are what they are on a host. What they let through, what a restart of theirs leaves of ours.

#![allow(missing_docs)]

use conex_tests::{Yard, eventually, server_yard};

/// A web server with a published port.
const WEB: &str = "mkdir /w; echo web >/w/index.html; exec busybox httpd -f -p 80 -h /w";

/// Not all of what it sets is there to be set in a network namespace. It is enabled by the test.
const UFW: &str = "sed -i /^IPT_SYSCTL/d /etc/default/ufw; exec sleep 600";

/// Without systemd the bus is theirs alone.
const FIREWALLD: &str =
    "rm -rf /run/dbus; mkdir -p /run/dbus; dbus-daemon --system --fork; exec firewalld --nofork --nopid";

struct Guarded {
    yard: Yard,
}

impl Guarded {
    fn new(yard: Yard, firewall: &str) -> Self {
        let this = Self { yard };
        this.yard.start("web", &["-p", "8080:80"], WEB);
        this.yard.host.world("busybox httpd -p 8000 -h /usr/share/common-licenses");
        eventually("the server", || this.comes_in().then_some(()));
        assert!(this.goes_out());
        this.yard.start("firewall", &["--privileged", "--network", "host"], firewall);
        this
    }

    /// With ufw, which is yet to be enabled.
    fn by_ufw(yard: Yard) -> Self {
        let this = Self::new(yard, UFW);
        eventually("the setting", || {
            this.yard.try_exec("firewall", "! grep -q ^IPT_SYSCTL /etc/default/ufw").map(|_| ())
        });
        this
    }

    /// Whether the world reaches the published port.
    fn comes_in(&self) -> bool {
        self.yard.host.try_world("timeout 1 busybox wget -qO- http://192.0.2.1:8080/").stdout == "web\n"
    }

    /// Whether the host itself does.
    fn is_reached_here(&self) -> bool {
        self.yard.host.try_sh("timeout 1 busybox wget -qO- http://127.0.0.1:8080/").stdout == "web\n"
    }

    /// Whether a container reaches the world.
    fn goes_out(&self) -> bool {
        self.yard.try_exec("web", "curl -sS -m1 -o /dev/null http://192.0.2.2:8000/GPL-2").is_some()
    }

    /// Commands of the firewall's own.
    #[track_caller]
    fn does(&self, script: &str) {
        let output = self.yard.conex.run(&["exec", "firewall", "sh", "-euc", script]);
        assert_eq!(output.code, 0, "{script}: {}{}", output.stdout, output.stderr);
    }

    /// Published ports are open to whom the host's `input` lets in, too.
    fn ask_input(&self) {
        self.yard.conex.configure("[ports]\nask_input = true\n");
        self.yard.conex.ok(&["network", "reload"]);
    }

    fn tables(&self) -> String {
        self.yard.host.sh("nft list tables")
    }
}

#[test]
fn firewalld_may_come_restart_reload_and_go() {
    let guarded = Guarded::new(server_yard!(), FIREWALLD);
    let conex = &guarded.yard.conex;
    guarded.yard.says("firewall", "firewall-cmd --state 2>&1", "running");
    // It lets through what is translated, by a rule of its own, and containers out when it is told that they are trusted.
    assert!(guarded.comes_in() && guarded.is_reached_here() && !guarded.goes_out());
    guarded
        .does("firewall-cmd -q --permanent --zone=trusted --add-interface=conex0; firewall-cmd -q --reload");
    assert!(guarded.comes_in() && guarded.is_reached_here() && guarded.goes_out());
    // What it is told to drop is dropped, and only that.
    let rule = "rule ipv4 filter FORWARD 0 -i eth0 -m conntrack --ctstate NEW --ctorigdstport 8080 -j DROP";
    guarded.does(&format!("firewall-cmd -q --permanent --direct --add-{rule}; firewall-cmd -q --reload"));
    assert!(!guarded.comes_in() && guarded.is_reached_here() && guarded.goes_out());
    guarded.does("firewall-cmd -q --panic-on");
    assert!(!guarded.goes_out());
    guarded.does("firewall-cmd -q --panic-off");
    assert!(guarded.goes_out());
    // Restarted, it takes away and makes what is its own, and nothing of ours.
    let rules = || guarded.yard.host.sh("nft -s list table inet conex; nft -s list table bridge conex");
    let before = rules();
    guarded.does(&format!("firewall-cmd -q --permanent --direct --remove-{rule}"));
    for way in ["restart", "kill"] {
        if way == "restart" {
            conex.ok(&["restart", "firewall"]);
        } else {
            conex.ok(&["kill", "firewall"]);
            conex.ok(&["wait", "firewall"]);
            conex.ok(&["start", "firewall"]);
        }
        guarded.yard.says("firewall", "firewall-cmd --state 2>&1", "running");
        assert!(guarded.comes_in() && guarded.is_reached_here() && guarded.goes_out(), "{way}");
        assert_eq!(rules(), before, "{way}");
    }
    guarded.does("firewall-cmd -q --complete-reload");
    assert!(guarded.comes_in() && guarded.goes_out());
    conex.ok(&["stop", "firewall"]);
    assert!(guarded.comes_in() && guarded.goes_out());
    let tables = guarded.tables();
    assert!(tables.contains("inet conex") && !tables.contains("firewalld"), "{tables}");
    // One that starts from nothing, as nftables.service does, is noticed by the next start, beside firewalld.
    conex.ok(&["start", "firewall"]);
    guarded.yard.says("firewall", "firewall-cmd --state 2>&1", "running");
    guarded.yard.host.sh("nft -f - <<'END'\nflush ruleset\ntable inet own { chain c { type filter hook forward priority 0; }; }\nEND");
    assert!(!guarded.comes_in());
    conex.ok(&["restart", "-t", "5", "firewall"]);
    conex.ok(&["run", "--rm", guarded.yard.image, "true"]);
    guarded.yard.says("firewall", "firewall-cmd --state 2>&1", "running");
    assert!(guarded.comes_in() && guarded.goes_out());
    let tables = guarded.tables();
    assert!(
        ["inet conex", "inet own", "inet firewalld"].iter().all(|name| tables.contains(name)),
        "{tables}"
    );
}

#[test]
fn ufw_denies_and_allows() {
    let guarded = Guarded::by_ufw(server_yard!());
    let conex = &guarded.yard.conex;
    guarded.does("ufw --force enable");
    // By default it denies what is forwarded; what it allows to the host itself is another matter.
    assert!(!guarded.comes_in() && !guarded.goes_out() && guarded.is_reached_here());
    guarded.does("ufw allow 8080/tcp");
    assert!(!guarded.comes_in());
    guarded.does("ufw route allow in on conex0");
    assert!(!guarded.comes_in() && guarded.goes_out());
    // The container's port, as it is after translation, and from whom.
    guarded.does("ufw route allow proto tcp from 198.51.100.0/24 to any port 80");
    assert!(!guarded.comes_in());
    guarded.does("ufw route allow proto tcp from 192.0.2.0/24 to any port 80");
    assert!(guarded.comes_in() && guarded.goes_out());
    guarded.does("ufw route insert 1 deny proto tcp from 192.0.2.2 to any port 80");
    assert!(!guarded.comes_in());
    guarded.does("ufw route delete deny proto tcp from 192.0.2.2 to any port 80");
    // Its rules are there before and after ours.
    guarded.does("ufw reload");
    assert!(guarded.comes_in());
    conex.ok(&["network", "reload"]);
    assert!(guarded.comes_in() && guarded.goes_out());
    guarded.does("ufw disable");
    assert!(guarded.comes_in() && guarded.goes_out());
    assert!(guarded.tables().contains("inet conex"));
}

#[test]
fn firewalld_s_zones_count_for_published_ports_when_input_is_asked() {
    let guarded = Guarded::new(server_yard!(), FIREWALLD);
    guarded.yard.says("firewall", "firewall-cmd --state 2>&1", "running");
    assert!(guarded.comes_in());
    guarded.ask_input();
    assert!(!guarded.comes_in() && guarded.is_reached_here());
    guarded.does("firewall-cmd -q --add-port=8080/tcp");
    assert!(guarded.comes_in());
    // By who asks, and by the device that he came by.
    guarded.does("firewall-cmd -q --remove-port=8080/tcp");
    guarded.does("firewall-cmd -q --zone=internal --add-source=192.0.2.0/24; firewall-cmd -q --zone=internal --add-port=8080/tcp");
    assert!(guarded.comes_in());
    guarded.does("firewall-cmd -q --zone=block --change-source=192.0.2.0/24");
    assert!(!guarded.comes_in());
    guarded.does("firewall-cmd -q --zone=block --remove-source=192.0.2.0/24");
    guarded.does("firewall-cmd -q --zone=trusted --change-interface=eth0");
    assert!(guarded.comes_in());
    guarded.does("firewall-cmd -q --zone=drop --change-interface=eth0");
    assert!(!guarded.comes_in());
}

#[test]
fn ufw_s_rules_count_for_published_ports_when_input_is_asked() {
    let guarded = Guarded::by_ufw(server_yard!());
    guarded.ask_input();
    assert!(guarded.comes_in());
    guarded.does("ufw default allow routed; ufw --force enable");
    assert!(!guarded.comes_in() && guarded.goes_out() && guarded.is_reached_here());
    guarded.does("ufw allow 8080/tcp");
    assert!(guarded.comes_in());
    guarded.does("ufw insert 1 deny from 192.0.2.2");
    assert!(!guarded.comes_in());
}
