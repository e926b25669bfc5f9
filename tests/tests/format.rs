//! `--format` on the verbs that have it, over real data.

use conex_tests::{Conex, alpine, needs_root, skip};

#[test]
fn templates_over_images() {
    needs_root!();
    let conex = Conex::new();
    let (Some(_), Some(_)) = (conex.alpine(), conex.busybox()) else { skip!("no fixture images") };
    assert_eq!(
        conex.ok(&["images", "--format", "{{.Repository}}:{{.Tag}}", "--filter", "reference=alpine"]),
        "alpine:3.20\n"
    );
    let table = conex.ok(&["images", "--format", "table {{.Tag}}\\t{{.Repository | upper}}"]);
    let mut lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines.remove(0).split_whitespace().collect::<Vec<_>>(), ["TAG", "REPOSITORY"]);
    lines.sort_unstable();
    assert_eq!(
        lines.iter().map(|line| line.split_whitespace().collect::<Vec<_>>()).collect::<Vec<_>>(),
        [["1.38.0-musl", "BUSYBOX"], ["3.20", "ALPINE"]]
    );
    let json = conex.ok(&["images", "--format", "json"]);
    assert_eq!(json.lines().count(), 2);
    for line in json.lines() {
        let row: serde_json::Value = serde_json::from_str(line).expect("a JSON object a line");
        assert_eq!(row["ID"].as_str().map(str::len), Some(12));
    }
    assert_eq!(conex.ok(&["images", "--format", "{{json .}}"]), json);
}

#[test]
fn templates_over_inspect() {
    let (conex, alpine) = alpine!();
    for (template, expected) in [
        ("{{.Os}}/{{.Architecture}}", "linux/amd64\n"),
        ("{{json .Config.Cmd}}", "[\"/bin/sh\"]\n"),
        (
            "{{range .Config.Env}}{{println .}}{{end}}",
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n\n",
        ),
        ("{{index .RepoTags 0}}", "alpine:3.20\n"),
        ("{{join .RepoTags \",\"}} {{len .RootFS.Layers}}", "alpine:3.20 1\n"),
        ("{{if .Config.User}}user{{else}}nobody set{{end}}", "nobody set\n"),
        ("{{with .Config}}{{.WorkingDir}}{{end}}", "/\n"),
        ("{{range $i, $t := .RepoTags}}{{$i}}:{{$t | upper}}{{end}}", "0:ALPINE:3.20\n"),
        ("{{(index (split .Id \":\") 0)}}", "sha256\n"),
        ("{{printf \"%s|%-8s|\" .Os .Architecture}}", "linux|amd64   |\n"),
    ] {
        assert_eq!(conex.ok(&["inspect", "-f", template, alpine]), expected, "{template}");
    }
    // Each name is rendered on a line of its own.
    assert_eq!(conex.ok(&["inspect", "-f", "{{.Os}}", alpine, alpine]), "linux\nlinux\n");
}

#[test]
fn templates_over_version_and_info() {
    let conex = Conex::new();
    let version = conex.ok(&["version", "--format", "{{.Client.Version}}"]);
    assert!(version.trim().split('.').count() >= 3, "{version}");
    let document: serde_json::Value =
        serde_json::from_str(&conex.ok(&["version", "-f", "json"])).expect("JSON");
    assert_eq!(document["Client"]["Version"].as_str(), Some(version.trim()));
    assert!(conex.ok(&["version"]).contains("Client:"));
    let kernel = conex.ok(&["info", "--format", "{{.KernelVersion}}"]);
    let running = std::fs::read_to_string("/proc/sys/kernel/osrelease").expect("osrelease");
    assert_eq!(kernel, running);
    let info: serde_json::Value =
        serde_json::from_str(&conex.ok(&["info", "-f", "{{json .}}"])).expect("JSON");
    assert_eq!(info["Containers"].as_u64(), Some(0));
    assert!(conex.ok(&["info"]).contains(running.trim()));
}

#[test]
fn faults_in_templates_have_a_place() {
    let (conex, alpine) = alpine!();
    for (words, expected) in [
        (&["images", "--format", "{{.Foo}}"][..], "template:1:3: <.Foo>: there is no field Foo"),
        (&["images", "--format", "{{.ID"], "template:1:1: unclosed action"),
        (&["images", "--format", "x\n {{nosuch .}}"], "template:2:4: function \"nosuch\" not defined"),
        (&["inspect", "-f", "{{.Config.Nope}}", alpine], "<.Nope>: there is no field Nope"),
        (&["inspect", "-f", "{{range .Id}}{{end}}", alpine], "range can't iterate over"),
        (&["inspect", "-f", "{{if .Id}}", alpine], "{{end}} is missing"),
        (&["version", "-f", "{{end}}"], "unexpected {{end}}"),
        (&["history", "--format", "{{.}", alpine], "template:1:"),
        (&["ps", "--format", "{{.Names"], "unclosed action"),
        (&["info", "-f", "{{.Nope}}"], "there is no field Nope"),
    ] {
        let error = conex.fails(1, words);
        assert!(
            error.starts_with("conex: cannot use --format: ") && error.contains(expected),
            "{words:?}: {error}"
        );
        assert_eq!(error.lines().count(), 1, "{error}");
    }
}

/// What Docker's own structs have and a document leaves out is nil, not a mistake.
#[test]
fn optional_fields_of_documents() {
    let (conex, alpine) = alpine!();
    conex.ok(&["create", "--name", "bare", "--network", "none", alpine]);
    conex.ok(&[
        "create",
        "--name",
        "full",
        "--network",
        "none",
        "--health-cmd",
        "true",
        "--health-interval",
        "90s",
        "--label",
        "a=1",
        alpine,
    ]);
    let cases = [
        ("bare", "{{if .State.Health}}{{.State.Health.Status}}{{else}}none{{end}}", "none\n"),
        ("bare", "{{with .State.Health}}x{{else}}none{{end}} {{json .State.Health}}", "none null\n"),
        ("bare", "{{.Config.Healthcheck}} {{json .Config.Healthcheck}}", "<nil> null\n"),
        ("full", "{{.Config.Healthcheck.Test}} {{.Config.Healthcheck.Retries}}", "[CMD-SHELL true] 0\n"),
        (
            "full",
            "{{with .Config.Healthcheck}}{{.Interval}} {{.Timeout}} {{json .Interval}}{{end}}",
            "1m30s 0s 90000000000\n",
        ),
        (
            "bare",
            "{{json .HostConfig.Mounts}} {{.HostConfig.StorageOpt}} {{.Config.Shell}}",
            "null map[] []\n",
        ),
        ("bare", "{{.SizeRw}} {{.HostConfig.CapAdd}} {{.Config.Entrypoint}}", "<nil> [] []\n"),
        (
            "bare",
            "{{.Config.Volumes}} {{.Config.StopTimeout}} {{.HostConfig.PidsLimit}}",
            "map[] <nil> <nil>\n",
        ),
        ("bare", "{{len .ExecIDs}} {{len .HostConfig.CapDrop}}", "0 0\n"),
        (
            "full",
            "{{index .Config.Labels \"a\"}}{{index .Config.Labels \"zz\"}}|{{.Config.Labels.zz}}",
            "1|<no value>\n",
        ),
        ("bare", "{{index .Config.Labels \"x\"}}|{{index .HostConfig.Annotations \"x\"}}", "|\n"),
        (alpine, "{{if .Config.Healthcheck}}yes{{else}}no{{end}} {{.Config.ExposedPorts}}", "no map[]\n"),
        (alpine, "{{.Config.Shell}} {{.Variant}}|{{index .Config.Labels \"x\"}}", "[] |\n"),
    ];
    for (name, template, expected) in cases {
        assert_eq!(conex.ok(&["inspect", "-f", template, name]), expected, "{name}: {template}");
    }
    assert_eq!(
        conex.ok(&["inspect", "-f", "{{.ID}}", "bare"]),
        conex.ok(&["inspect", "-f", "{{.Id}}", "bare"])
    );
    // What no document of Docker's has is a mistake, and so is a field of nil.
    for (template, expected) in [
        ("{{.State.Helth}}", "there is no field Helth"),
        ("{{.Config.Healthchek}}", "there is no field Healthchek"),
        ("{{.State.Health.Status}}", "nil value has no field Status"),
    ] {
        let error = conex.fails(1, &["inspect", "-f", template, "bare"]);
        assert!(error.contains(expected), "{template}: {error}");
    }
    // The document is as it was: nothing is added for templates.
    let document = conex.ok(&["inspect", "bare"]);
    assert!(!document.contains("\"Health\"") && !document.contains("\"Healthcheck\""), "{document}");

    conex.ok(&["volume", "create", "--label", "a=1", "data"]);
    conex.ok(&["network", "create", "--label", "a=1", "lan"]);
    for noun in ["volume", "network"] {
        let name = if noun == "volume" { "data" } else { "lan" };
        let template =
            "{{index .Labels \"zz\"}}|{{index .Labels \"a\"}}|{{.Options.type}}|{{index .Options \"type\"}}";
        assert_eq!(conex.ok(&[noun, "inspect", "-f", template, name]), "|1|<no value>|\n", "{noun}");
    }
}

/// `.Label` of volumes and networks, as of containers.
#[test]
fn labels_in_lists() {
    needs_root!();
    let conex = Conex::new();
    conex.ok(&["volume", "create", "--label", "com.example.tier=front", "data"]);
    conex.ok(&["network", "create", "--label", "com.example.tier=front", "lan"]);
    for (noun, name) in [("volume", "data"), ("network", "lan")] {
        let filter = format!("name={name}");
        let list = |format: &str| conex.ok(&[noun, "ls", "--filter", &filter, "--format", format]);
        assert_eq!(
            list("{{.Name}} {{.Label \"com.example.tier\"}}{{.Label \"x\"}}"),
            format!("{name} front\n")
        );
        assert_eq!(list("table {{.Label \"com.example.tier\"}}"), "tier\nfront\n");
        let error = conex.fails(1, &[noun, "ls", "--format", "{{.Labell \"x\"}}"]);
        assert!(error.contains("there is no field Labell"), "{error}");
        let error = conex.fails(1, &[noun, "ls", "--format", "{{.Name \"x\"}}"]);
        assert!(error.contains("the field Name takes no arguments"), "{error}");
    }
}

/// `--format raw`: blocks of Docker's.
#[test]
fn raw_lists() {
    let (conex, alpine) = alpine!();
    conex.ok(&["create", "--name", "box", "--network", "none", "--label", "a=1", alpine, "true"]);
    conex.ok(&["volume", "create", "data"]);
    let id = conex.ok(&["ps", "-aq"]);
    let created = conex.ok(&["ps", "-a", "--format", "{{.CreatedAt}}"]);
    let block = format!(
        "container_id: {id}image: {alpine}\ncommand: \"true\"\ncreated_at: {created}state: created\nstatus: Created\n\
         names: box\nlabels: a=1\nports:\n"
    );
    assert_eq!(conex.ok(&["ps", "-a", "--format", "raw"]), format!("{block}\n"));
    assert_eq!(conex.ok(&["ps", "-aq", "--format", "raw"]), format!("container_id: {id}"));
    let sized = conex.ok(&["ps", "-as", "--format", "raw"]);
    assert!(sized.starts_with(&format!("{block}size: 0B (virtual ")), "{sized}");
    let image = conex.ok(&["images", "-q"]);
    let raw = conex.ok(&["images", "--format", "raw"]);
    assert!(
        raw.starts_with(&format!("repository: alpine\ntag: 3.20\nimage_id: {image}created_at: ")),
        "{raw}"
    );
    assert!(raw.contains("\nvirtual_size: ") && !raw.contains("digest"), "{raw}");
    assert!(conex.ok(&["images", "--digests", "--format", "raw"]).contains("\ntag: 3.20\ndigest: "));
    assert_eq!(conex.ok(&["volume", "ls", "--format", "raw"]), "name: data\ndriver: local\n\n");
    assert_eq!(conex.ok(&["volume", "ls", "-q", "--format", "raw"]), "name: data\n");
    let network = conex.ok(&["network", "create", "lan"]);
    let raw = conex.ok(&["network", "ls", "--filter", "name=lan", "--format", "raw"]);
    let short = &network[..12];
    assert_eq!(raw, format!("network_id: {short}\nname: lan\ndriver: bridge\nscope: local\n\n"));
    // Docker's word for when, in a form for programs.
    let since = conex.ok(&["history", "--human=false", "--format", "{{.CreatedSince}}", alpine]);
    let at = conex.ok(&["history", "--format", "{{.CreatedAt}}", alpine]);
    assert!(since == at && since.starts_with("20") && !since.contains("ago"), "{since}");
    assert!(conex.ok(&["history", "--format", "{{.CreatedSince}}", alpine]).contains(" ago\n"));
}
