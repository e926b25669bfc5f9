//! The same commands with podman's volumes: what a container finds in them, who owns it, and what is left, is the same; each takes the
//! other's archives.

use conex_tests::{Conex, Enclosure, archive, lacks, needs_root, skip};

/// Each line is a command of both; its output is compared. `{run}` is `run` with what the test needs besides.
const SCRIPT: &[&[&str]] = &[
    &["volume", "create", "--label", "a=b", "db"],
    &["volume", "exists", "db"],
    &["volume", "inspect", "--format", "{{.Name}} {{.Driver}} {{index .Labels \"a\"}}", "db"],
    // The image's files with their owners and modes, once.
    &[
        "{run}",
        "--rm",
        "-v",
        "db:/etc",
        "alpine:3.20",
        "sh",
        "-c",
        "stat -c '%n %a %u %g' /etc/shadow /etc/apk; rm /etc/motd",
    ],
    &[
        "{run}",
        "--rm",
        "-v",
        "db:/x",
        "alpine:3.20",
        "sh",
        "-c",
        "cd /x && ls -d [a-z]* | grep -v -E '^(hosts|hostname|resolv.conf|mtab)$'",
    ],
    &["{run}", "--rm", "-v", "tmp:/var/tmp", "alpine:3.20", "stat", "-c", "%a %u", "/var/tmp"],
    &[
        "{run}",
        "--rm",
        "-v",
        "fresh:/no/such/place",
        "alpine:3.20",
        "stat",
        "-c",
        "%a %u %g",
        "/no/such/place",
    ],
    // Links and devices.
    &[
        "{run}",
        "--rm",
        "-v",
        "odd:/v",
        "alpine:3.20",
        "sh",
        "-c",
        "cd /v; echo x >f; ln f g; ln -s /nowhere l; mkfifo p; chown 5:6 f; chmod 4755 f",
    ],
    &[
        "{run}",
        "--rm",
        "-u",
        "1000:1000",
        "-v",
        "odd:/v:U",
        "alpine:3.20",
        "sh",
        "-c",
        "cd /v; stat -c '%n %a %u %g' f g l p .",
    ],
    // Anonymous ones, and those of others.
    &["{run}", "--rm", "-v", "/anon", "alpine:3.20", "touch", "/anon/x"],
    &["{run}", "--name", "one", "-v", "shared:/s", "alpine:3.20", "sh", "-c", "echo one >/s/f"],
    &[
        "{run}",
        "--rm",
        "--volumes-from",
        "one:ro",
        "alpine:3.20",
        "sh",
        "-c",
        "cat /s/f; touch /s/x 2>/dev/null || echo refused",
    ],
    &["ps", "-a", "--filter", "volume=shared", "--format", "{{.Names}}"],
    &["volume", "ls", "-q", "--filter", "dangling=false"],
    &["volume", "ls", "-q", "--filter", "label=a"],
    &["rm", "-v", "one"],
    &["{run}", "--rm", "--mount", "type=volume,source=shared,target=/s,ro", "alpine:3.20", "cat", "/s/f"],
    &["volume", "ls", "-q"],
    &["volume", "rm", "shared"],
    &["volume", "ls", "--quiet", "--filter", "name=sha"],
];

#[test]
fn podman_s_do_the_same() {
    needs_root!();
    if let Some(program) = lacks(&["podman", "conmon", "unshare", "nsenter"]) {
        skip!("{program} is not installed");
    }
    let conex = Conex::new();
    let (Some(_), Some(image)) = (conex.alpine(), archive("alpine-3.20.oci.tar")) else {
        skip!("no alpine image")
    };
    let Some(enclosure) = Enclosure::new("volumes") else { skip!("no namespaces here") };
    enclosure.set_up_podman("");
    let loaded = enclosure.podman(&["load", "--quiet", "--input", image.to_str().expect("text")]);
    assert_eq!(loaded.code, 0, "{}", loaded.stderr);
    let theirs = ["run", "--network", "none", "--cgroup-parent", enclosure.cgroup()];
    for words in SCRIPT {
        let said = |run: &[&str]| -> Vec<String> {
            let (first, rest) = words.split_first().expect("a command");
            let first = if *first == "{run}" { run.to_vec() } else { vec![*first] };
            first.iter().chain(rest).map(|word| (*word).to_owned()).collect()
        };
        let (ours, theirs) = (said(&["run"]), said(&theirs));
        let ours = conex.run(&ours.iter().map(String::as_str).collect::<Vec<_>>());
        let theirs = enclosure.podman(&theirs.iter().map(String::as_str).collect::<Vec<_>>());
        let told = format!("{words:?}\nours: {ours:?}\ntheirs: {theirs:?}");
        assert_eq!(ours.code, theirs.code, "{told}");
        // Podman prints the id where we, as Docker, print the name.
        if words[0] != "rm" {
            assert_eq!(ours.stdout, theirs.stdout, "{told}");
        }
    }
    // Its archive is ours, and the other way round.
    let tar = enclosure.at("odd.tar");
    assert_eq!(enclosure.podman(&["volume", "export", "--output", &tar, "odd"]).code, 0);
    conex.ok(&["volume", "create", "theirs"]);
    conex.ok(&["volume", "import", "theirs", enclosure.inside(&tar).to_str().expect("text")]);
    let ours = enclosure.at("ours.tar");
    conex.ok(&["volume", "export", "-o", enclosure.inside(&ours).to_str().expect("text"), "odd"]);
    assert_eq!(enclosure.podman(&["volume", "create", "ours"]).code, 0);
    let imported = enclosure.podman(&["volume", "import", "ours", &ours]);
    assert_eq!(imported.code, 0, "{}", imported.stderr);
    let look = "cd /v; stat -c '%n %a %u %g %h' *; cat f; readlink l";
    let run = |volume: &str| {
        [&["run", "--rm", "-v", &format!("{volume}:/v"), "alpine:3.20", "sh", "-c", look][..]]
            .concat()
            .iter()
            .map(|word| (*word).to_owned())
            .collect::<Vec<_>>()
    };
    let mine = run("theirs");
    let mine = conex.ok(&mine.iter().map(String::as_str).collect::<Vec<_>>());
    let volume = "ours:/v";
    let theirs =
        enclosure.podman(&[&theirs[..], &["--rm", "-v", volume, "alpine:3.20", "sh", "-c", look]].concat());
    assert_eq!(mine, theirs.stdout, "{}", theirs.stderr);
}
