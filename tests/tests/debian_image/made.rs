//! The image once more, its layers this time by Conex itself: `import`, then `run` and `commit` for each step, as one would
//! without a Dockerfile.

use conex_tests::skip;

use crate::{Bed, NAME, image, reference};

/// A step of the recipe, in a container; a test need not survive a power cut.
const INSTALL: &str = "apt-get install --yes --no-install-recommends -o APT::Sandbox::User=root \
    -o DPkg::Options::=--force-unsafe-io /mnt/*.deb && \
    rm -rf /var/log/* /var/cache/apt/* /var/cache/ldconfig/aux-cache /var/lib/dpkg/*-old /var/cache/debconf/*-old";

/// What the recipe's last two steps do: they are not repeated here.
const LATER: [&str; 11] = [
    "/app",
    "/etc/issue",
    "/etc/issue.net",
    "/etc/localtime",
    "/opt",
    "/usr/lib/os-release",
    "/usr/lib/python3/dist-packages/pygments/lexers/__pycache__",
    "/usr/share/bash-completion",
    "/usr/share/common-licenses",
    "/usr/share/zoneinfo",
    "/var/lib/apt/lists",
];

/// What an engine puts into a container: netbase makes no /etc/hosts where there is one.
const OWN: [&str; 3] = ["/etc/hostname", "/etc/hosts", "/etc/resolv.conf"];

#[test]
fn import_run_and_commit_come_to_the_same_files() {
    let archive = image!();
    let packages = archive.with_file_name("packages");
    if !packages.join("4").is_dir() {
        skip!("the packages that the image is made of are not beside it");
    }
    let bed = Bed::load("auto", &archive);
    let layout = reference::layout(&archive, bed.conex.scratch());
    let base = &reference::layers(&layout)[0];
    bed.ok(&["import", base.to_str().expect("text"), "made:1"]);
    for number in 2..=4 {
        let volume = format!("{}:/mnt:ro", packages.join(number.to_string()).display());
        let below = format!("made:{}", number - 1);
        let run = ["run", "--name", "step", "--network", "none", "--volume", &volume];
        let environment = ["--env", "DEBIAN_FRONTEND=noninteractive", "--env", "LC_ALL=C.UTF-8"];
        bed.ok(&[&run[..], &environment, &[&below, "sh", "-c", INSTALL]].concat());
        bed.ok(&["commit", "step", &format!("made:{number}")]);
        bed.ok(&["rm", "step"]);
    }
    assert_eq!(bed.ok(&["history", "--quiet", "made:4"]).lines().count(), 4);
    bed.ok(&["image", "verify", "made:4"]);
    let script = "import jinja2, pygments, requests, ssl, sqlite3, yaml; print(yaml.dump(jinja2.__name__))";
    let said = bed.ok(&["run", "--rm", "--network", "none", "made:4", "python3", "-c", script]);
    assert_eq!(said, "jinja2\n...\n\n");

    let rows = bed.ok(&["image", "diff", "--format", "{{.Path}} {{.Change}} {{.What}}", NAME, "made:4"]);
    let is_other = |row: &&str| {
        !row.contains("/pydoc_data") && !LATER.iter().chain(&OWN).any(|path| row.starts_with(path))
    };
    let others: Vec<&str> = rows.lines().filter(is_other).collect();
    assert!(others.is_empty(), "{others:#?}");
}
