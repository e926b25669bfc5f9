use std::path::Path;

use super::keys::{Config, KEYS};
use super::{example, rows};

fn parse(text: &str) -> Result<Config, String> {
    let mut config = Config::default();
    config.take_text(Path::new("/etc/conex/conex.toml"), text).map(|()| config)
}

#[test]
fn files_are_understood_or_named() {
    let config = parse("[ports]\naddress = \"127.0.0.1\"\nblock_metadata = true\n").unwrap();
    assert_eq!(config.ports.address, Some([127, 0, 0, 1].into()));
    assert_eq!((config.ports.block_metadata, config.ports.ask_input), (Some(true), None));
    assert!(parse("").unwrap().said.is_empty());
    for (text, words) in [
        ("[ports]\nadress = \"::1\"\n", "line 2: unknown key ports.adress; did you mean ports.address?"),
        (
            "[ports]\ndetach_keys = \"a\"\n",
            "line 2: unknown key ports.detach_keys; did you mean terminal.detach_keys?",
        ),
        ("[cni]\ntimeout = 0\n", "line 2: cni.timeout: expected a number above 0"),
        ("[cni]\nplugins = \"/opt/cni/bin\"\n", "line 2: cni.plugins: expected list of paths, found string"),
        ("[port]\n", "line 1: unknown section [port]; did you mean [ports]?"),
        ("ports = 1\n", "line 1: ports is a section"),
        ("x = 1\n", "line 1: unknown key x; keys stand in sections, as [run]"),
        ("\npids_limit = 1\n", "line 2: unknown key pids_limit; did you mean run.pids_limit?"),
        (
            "[cdi]\nspec_dirs = [\"relative\"]\n",
            "line 2: cdi.spec_dirs: expected an absolute path, found \"relative\"",
        ),
        ("[cni]\nconfig = \"net.d\"\n", "line 2: cni.config: expected an absolute path"),
        ("[run]\npids_limit = -5\n", "line 2: run.pids_limit: invalid \"-5\": expected a number up to"),
        ("[dns]\nservers = [\"foo\"]\n", "line 2: dns.servers: invalid IP address \"foo\""),
        (
            "[log]\ndriver = \"none\"\noptions = [\"max-size=1m\"]\n",
            "line 3: log.options: log.driver \"none\" takes none",
        ),
        ("[ports]\naddress = \"here\"\n", "line 2: ports.address: invalid IP address"),
        ("[ports\n", "line 1: "),
        ("[run]\nulimits = [\"nofile=x\"]\n", "line 2: run.ulimits: "),
        ("[run]\npids_limit = 99999999999\n", "line 2: run.pids_limit: "),
        ("[run]\ncapabilities = [\"FLY\"]\n", "line 2: run.capabilities: "),
        ("[run]\nshm_size = -1\n", "line 2: run.shm_size: "),
        ("[log]\ndriver = \"jsonfile\"\n", "line 2: log.driver: unknown log driver"),
        ("[log]\noptions = [\"max-size\"]\n", "line 2: log.options: "),
        ("[network]\npools = []\n", "line 2: network.pools: expected at least one pool"),
        ("[network]\npools = [\"10.0.0.0/24:8\"]\n", "line 2: network.pools: "),
        ("[terminal]\ndetach_keys = \"ctrl-\"\n", "line 2: terminal.detach_keys: invalid detach keys"),
    ] {
        let error = parse(text).unwrap_err();
        assert!(error.starts_with(words) && error.lines().count() == 1, "{text}: {error}");
    }
}

#[test]
fn later_files_go_over_earlier_ones_key_by_key() {
    let mut config = parse("[ports]\naddress = \"127.0.0.1\"\nblock_metadata = true\n").unwrap();
    config
        .take_text(Path::new("/home/me/conex.toml"), "[ports]\nblock_metadata = false # not here\n")
        .unwrap();
    assert_eq!((config.ports.address.is_some(), config.ports.block_metadata), (true, Some(false)));
    // What one file says may not go with what another does: the later one is told.
    config.take_text(Path::new("/etc/conex/conex.toml"), "[log]\noptions = [\"max-size=1m\"]\n").unwrap();
    let error =
        config.clone().take_text(Path::new("/home/me/conex.toml"), "[log]\ndriver = \"none\"\n").unwrap_err();
    assert!(error.starts_with("line 2: log.options"), "{error}");
    let rows = rows(&config);
    let row = |key: &str| rows.iter().find(|row| row["Key"] == key).unwrap();
    assert_eq!(
        (&row("ports.address")["Value"], &row("ports.address")["From"]),
        (&"\"127.0.0.1\"".into(), &"/etc/conex/conex.toml".into())
    );
    let (value, from) = (&row("ports.block_metadata")["Value"], &row("ports.block_metadata")["From"]);
    assert_eq!((value, from), (&"false".into(), &"/home/me/conex.toml".into()));
    assert_eq!(
        (&row("log.driver")["Value"], &row("log.driver")["From"]),
        (&"\"json-file\"".into(), &"default".into())
    );
}

/// What is said of defaults is a value that the key takes.
#[test]
fn defaults_are_values() {
    for key in KEYS.iter().filter(|key| !key.default.is_empty()) {
        parse(&format!("[{}]\n{} = {}\n", key.section, key.name, key.default)).unwrap();
        assert!(key.about.ends_with('.') && key.about.len() < 130, "{}.{}", key.section, key.name);
    }
    // The example is a file, with and without its comments.
    assert!(parse(&example()).unwrap().said.is_empty());
    let lines = example();
    let plain: Vec<_> = lines
        .lines()
        .map(|line| {
            line.strip_prefix("# ").filter(|rest| rest.contains(" = ") && !rest.contains('…')).unwrap_or(line)
        })
        .collect();
    let all = parse(&plain.join("\n")).unwrap();
    assert_eq!(all.said.len(), KEYS.iter().filter(|key| !key.default.is_empty()).count());
}

/// The defaults that are said are those that hold.
#[test]
fn defaults_hold() {
    let config = parse(
        &KEYS
            .iter()
            .filter(|key| !key.default.is_empty())
            .map(|key| format!("{}.{} = {}\n", key.section, key.name, key.default))
            .collect::<String>(),
    )
    .unwrap();
    let none = Config::default();
    assert_eq!(config.cni.settings(), none.cni.settings());
    assert_eq!(config.cdi.directories(), none.cdi.directories());
    assert_eq!(config.ports.firewall(), none.ports.firewall());
    assert_eq!(config.network.pools.unwrap(), conex_engine::network::Pool::usual());
    assert_eq!(config.terminal.detach_keys.unwrap(), Default::default());
    assert_eq!(config.log.driver.unwrap(), Default::default());
    assert_eq!(config.run.stop_timeout.unwrap().0, conex_engine::options::STOP_TIMEOUT);
    assert_eq!(config.run.shm_size.unwrap().0, conex_engine::options::SHM_SIZE);
    assert_eq!(config.run.capabilities.unwrap().0, conex_engine::options::DEFAULT_CAPABILITIES);
}

#[test]
fn documents_are_those_of_the_table() {
    crate::documents::check("docs/conex.toml", None, &example());
    let mut table = String::from("| key | type | default | |\n|---|---|---|---|\n");
    for key in KEYS {
        let variable = key
            .variable
            .map(|name| format!(" `{name}` in the environment goes over it."))
            .unwrap_or_default();
        let default = if key.default.is_empty() { String::new() } else { format!("`{}`", key.default) };
        table += &format!(
            "| `{}.{}` | {} | {default} | {}{variable} |\n",
            key.section,
            key.name,
            key.kind,
            key.about.trim_start()
        );
    }
    crate::documents::check("docs/guide/configuration.md", Some("keys"), &table);
}
