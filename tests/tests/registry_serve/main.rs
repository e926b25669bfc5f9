//! `conex registry serve`: skopeo, podman's way of reading, curl-like questions and conex itself against it.

#![allow(missing_docs)]

mod served;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;

use conex_tests::{Conex, archive, finish, installed, needs_root, skip, skopeo_copy};
use serde_json::{Value, json};
use served::{Served, sha256};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

fn manifest(config: &str, size: usize, more: &Value) -> Vec<u8> {
    let mut document = json!({"schemaVersion": 2, "mediaType": MANIFEST,
        "config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": config, "size": size}, "layers": []});
    document.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    document.to_string().into_bytes()
}

fn inspect(name: &str) -> String {
    let raw = finish(
        Command::new("skopeo")
            .args(["inspect", "--raw", "--tls-verify=false"])
            .arg(format!("docker://{name}")),
    );
    assert_eq!(raw.code, 0, "{}", raw.stderr);
    raw.stdout
}

#[test]
fn one_machine_feeds_another() {
    needs_root!();
    let (one, two) = (Conex::new(), Conex::new());
    let Some(alpine) = one.alpine() else { skip!("no alpine image (CONEX_TEST_IMAGES)") };
    let served = Served::over(&one, &[]);
    // Under the name that it has there.
    let name = served.name("alpine:3.20");
    two.ok(&["pull", "-q", &name]);
    assert_eq!(two.ok(&["run", "--rm", &name, "cat", "/etc/alpine-release"]), "3.20.3\n");
    let id = |conex: &Conex, name: &str| conex.ok(&["inspect", "--format", "{{.Id}}", name]);
    assert_eq!(id(&one, alpine), id(&two, &name));
    // As a mirror of Docker Hub's: with its whole name.
    let three = Conex::new();
    let directory = three.scratch().join("home/.config/containers");
    std::fs::create_dir_all(&directory).expect("a directory");
    let text = format!(
        "[[registry]]\nlocation = \"docker.io\"\n[[registry.mirror]]\nlocation = \"{}\"\n",
        served.address
    );
    std::fs::write(directory.join("registries.conf"), text).expect("registries.conf");
    three.ok(&["pull", "-q", "alpine:3.20"]);
    assert_eq!(id(&one, alpine), id(&three, "alpine:3.20"));

    // Back, under another name, with blobs that are there already; and the store's owner has it.
    two.ok(&["tag", &name, &served.name("team/app:1")]);
    let pushed = two.ok(&["push", &served.name("team/app:1")]);
    assert!(pushed.contains("Layer already exists"), "{pushed}");
    assert_eq!(id(&one, "team/app:1"), id(&one, alpine));
    // Nobody who merely pulled keeps it from being removed.
    one.ok(&["rmi", "team/app:1", alpine]);
    assert!(one.images().is_empty());
    two.fails(1, &["pull", &served.name("team/app:1")]);
}

#[test]
fn skopeo_both_ways() {
    needs_root!();
    let Some(archive) = archive("alpine-3.20.oci.tar") else { skip!("no alpine image (CONEX_TEST_IMAGES)") };
    if !installed("skopeo") {
        skip!("skopeo is not installed");
    }
    let conex = Conex::new();
    let served = Served::over(&conex, &[]);
    let (there, again) = (served.name("some/alpine:3.20"), served.name("other/alpine:copy"));
    let from = format!("oci-archive:{}", archive.display());
    let copied = skopeo_copy(&["--all", "--dest-tls-verify=false"], &from, &format!("docker://{there}"));
    assert_eq!(copied.code, 0, "{}", copied.stderr);
    // Within it (blobs are mounted), and out of it into a layout: the same bytes.
    let within = skopeo_copy(
        &["--all", "--src-tls-verify=false", "--dest-tls-verify=false"],
        &format!("docker://{there}"),
        &format!("docker://{again}"),
    );
    assert_eq!(within.code, 0, "{}", within.stderr);
    assert_eq!(inspect(&there), inspect(&again));
    let layout = conex.scratch().join("layout");
    let out = skopeo_copy(
        &["--all", "--src-tls-verify=false"],
        &format!("docker://{again}"),
        &format!("oci:{}:x", layout.display()),
    );
    assert_eq!(out.code, 0, "{}", out.stderr);
    assert!(layout.join("blobs/sha256").join(&sha256(inspect(&there).as_bytes())[7..]).is_file());
    let listed = finish(
        Command::new("skopeo")
            .args(["list-tags", "--tls-verify=false"])
            .arg(format!("docker://{}", served.name("some/alpine"))),
    );
    assert!(listed.stdout.contains("\"3.20\""), "{} {}", listed.stdout, listed.stderr);
    // It runs where it was pushed to, and no child of the index has got a name.
    assert_eq!(conex.ok(&["run", "--rm", "some/alpine:3.20", "cat", "/etc/alpine-release"]), "3.20.3\n");
    let mut images = conex.images();
    images.sort();
    assert_eq!(images, ["other/alpine:copy", "some/alpine:3.20"]);
    // Deleted by digest: the tag is gone too.
    let deleted = finish(
        Command::new("skopeo").args(["delete", "--tls-verify=false"]).arg(format!("docker://{again}")),
    );
    assert_eq!(deleted.code, 0, "{}", deleted.stderr);
    assert_eq!(conex.images(), ["some/alpine:3.20"]);
}

#[test]
fn blobs_and_ranges() {
    let conex = Conex::new();
    let served = Served::over(&conex, &[]);
    assert_eq!(served.get("/v2/").status, 200);
    let digest = served.push_blob("a/b", b"0123456789");
    let path = format!("/v2/a/b/blobs/{digest}");
    let whole = served.get(&path);
    assert_eq!((whole.status, &whole.body[..]), (200, &b"0123456789"[..]));
    assert_eq!(whole.header("docker-content-digest"), Some(digest.as_str()));
    let head = served.ask("HEAD", &path, &[], b"");
    assert_eq!((head.status, head.header("content-length"), head.body.len()), (200, Some("10"), 0));
    for (range, status, body, said) in [
        ("bytes=2-4", 206, &b"234"[..], Some("bytes 2-4/10")),
        ("bytes=7-", 206, b"789", Some("bytes 7-9/10")),
        ("bytes=-1", 206, b"9", Some("bytes 9-9/10")),
        ("bytes=0-1,4-5", 200, b"0123456789", None),
    ] {
        let part = served.ask("GET", &path, &[("Range", range)], b"");
        assert_eq!(
            (part.status, &part.body[..], part.header("content-range")),
            (status, body, said),
            "{range}"
        );
    }
    let beyond = served.ask("GET", &path, &[("Range", "bytes=10-")], b"");
    assert_eq!((beyond.status, beyond.header("content-range")), (416, Some("bytes */10")));

    let absent = served.get(&format!("/v2/a/b/blobs/{}", sha256(b"absent")));
    assert_eq!((absent.status, absent.code().as_str()), (404, "BLOB_UNKNOWN"));
    assert_eq!(served.get("/v2/a/blobs/sha256:xyz").code(), "DIGEST_INVALID");
    assert_eq!(served.get(&format!("/v2/A/blobs/{digest}")).code(), "NAME_INVALID");
    assert_eq!(served.get("/v2/nothing/tags/list").code(), "NAME_UNKNOWN");
    assert_eq!(served.get("/v2/a/manifests/none").code(), "MANIFEST_UNKNOWN");
    assert_eq!(served.get("/elsewhere").status, 404);
    assert_eq!(served.get("/v2/../../etc/passwd").status, 404);
}

#[test]
fn uploads_go_on() {
    let conex = Conex::new();
    let mut served = Served::over(&conex, &[]);
    let opened = served.ask("POST", "/v2/a/blobs/uploads/", &[], b"");
    assert_eq!((opened.status, opened.header("range")), (202, Some("0-0")));
    let location = opened.header("location").expect("a location").to_owned();
    let first = served.ask("PATCH", &location, &[("Content-Range", "0-3")], b"0123");
    assert_eq!((first.status, first.header("range")), (202, Some("0-3")));
    // Out of order, then one that breaks off half-way.
    let wrong = served.ask("PATCH", &location, &[("Content-Range", "9-9")], b"9");
    assert_eq!((wrong.status, wrong.header("range")), (416, Some("0-3")));
    let mut stream = TcpStream::connect(&served.address).expect("a connection");
    write!(stream, "PATCH {location} HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\n45").expect("sent");
    stream.shutdown(std::net::Shutdown::Write).expect("shut");
    let _ = stream.read_to_end(&mut Vec::new());
    let look = served.get(&location);
    assert_eq!((look.status, look.header("range")), (204, Some("0-5")));
    // The server dies; another goes on with it.
    drop(served);
    served = Served::over(&conex, &[]);
    let chunked = served.ask(
        "PATCH",
        &location,
        &[("Transfer-Encoding", "chunked")],
        b"2\r\n67\r\n1;x=y\r\n8\r\n0\r\nT: x\r\n\r\n",
    );
    assert_eq!((chunked.status, chunked.header("range")), (202, Some("0-8")), "{chunked:?}");
    let digest = sha256(b"0123456789");
    let lie = served.ask("PUT", &format!("{location}?digest={}", sha256(b"x")), &[], b"");
    assert_eq!(lie.code(), "DIGEST_INVALID");
    let ended = served.ask("PUT", &format!("{location}?digest={digest}"), &[("Content-Range", "9-9")], b"9");
    assert_eq!(ended.status, 201, "{ended:?}");
    assert_eq!(served.get(&format!("/v2/a/blobs/{digest}")).body, b"0123456789");
    assert_eq!(served.get(&location).code(), "BLOB_UPLOAD_UNKNOWN");

    let opened = served.ask("POST", "/v2/a/blobs/uploads/", &[], b"");
    let location = opened.header("location").expect("a location").to_owned();
    assert_eq!(served.ask("DELETE", &location, &[], b"").status, 204);
    assert_eq!(served.get(&location).status, 404);
    let mounted = served.ask("POST", &format!("/v2/b/blobs/uploads/?mount={digest}&from=a"), &[], b"");
    assert_eq!(mounted.status, 201);
    let absent = sha256(b"absent");
    let opened = served.ask("POST", &format!("/v2/b/blobs/uploads/?mount={absent}&from=a"), &[], b"");
    assert_eq!(opened.status, 202);
    let short = served.ask("POST", &format!("/v2/b/blobs/uploads/?digest={absent}"), &[], b"other");
    assert_eq!(short.code(), "DIGEST_INVALID");
}

#[test]
fn manifests_tags_and_referrers() {
    let conex = Conex::new();
    let served = Served::over(&conex, &[]);
    let empty = served.push_blob("a", b"{}");
    let put = |selector: &str, bytes: &[u8]| {
        served.ask("PUT", &format!("/v2/a/manifests/{selector}"), &[("Content-Type", MANIFEST)], bytes)
    };
    let image = manifest(&empty, 2, &json!({}));
    let missing = put("t1", &manifest(&sha256(b"absent"), 6, &json!({})));
    assert_eq!((missing.status, missing.code().as_str()), (400, "MANIFEST_BLOB_UNKNOWN"));
    for tag in ["t1", "t2", "t3"] {
        assert_eq!(put(tag, &image).status, 201);
    }
    let digest = sha256(&image);
    for selector in ["t1", &digest] {
        let got = served.get(&format!("/v2/a/manifests/{selector}"));
        assert_eq!((got.status, got.body.as_slice()), (200, image.as_slice()));
        assert_eq!(
            (got.header("content-type"), got.header("docker-content-digest")),
            (Some(MANIFEST), Some(digest.as_str()))
        );
    }
    // Not in another repository, though the blob is in the same store.
    assert_eq!(served.get(&format!("/v2/b/manifests/{digest}")).code(), "MANIFEST_UNKNOWN");
    assert_eq!(put(&sha256(b"other"), &image).code(), "DIGEST_INVALID");
    assert_eq!(put("t", b"{}").code(), "MANIFEST_INVALID");
    assert_eq!(put("t", &[b' '; (4 << 20) + 1]).status, 413);

    let page = |query: &str| served.get(&format!("/v2/a/tags/list{query}"));
    assert_eq!(page("").json(), json!({"name": "a", "tags": ["t1", "t2", "t3"]}));
    let first = page("?n=2");
    assert_eq!(first.json()["tags"], json!(["t1", "t2"]));
    assert_eq!(first.header("link"), Some("</v2/a/tags/list?n=2&last=t2>; rel=\"next\""));
    let last = page("?n=2&last=t2");
    assert_eq!((last.json()["tags"].clone(), last.header("link")), (json!(["t3"]), None));
    assert_eq!(page("?n=0").json()["tags"], json!([]));
    assert_eq!(served.get("/v2/_catalog").json(), json!({"repositories": ["a"]}));

    let subject = json!({"subject": {"mediaType": MANIFEST, "digest": digest, "size": image.len()}, "artifactType": "text/x-sign", "annotations": {"k": "v"}});
    let signature = manifest(&empty, 2, &subject);
    let signed = put(&sha256(&signature), &signature);
    assert_eq!((signed.status, signed.header("oci-subject")), (201, Some(digest.as_str())));
    let listed = served.get(&format!("/v2/a/referrers/{digest}"));
    assert_eq!(listed.header("content-type"), Some("application/vnd.oci.image.index.v1+json"));
    let entry = &listed.json()["manifests"][0];
    assert_eq!(
        (&entry["digest"], &entry["artifactType"], &entry["annotations"]["k"]),
        (&json!(sha256(&signature)), &json!("text/x-sign"), &json!("v"))
    );
    let filtered = served.get(&format!("/v2/a/referrers/{digest}?artifactType=other"));
    assert_eq!(
        (filtered.json()["manifests"].clone(), filtered.header("oci-filters-applied")),
        (json!([]), Some("artifactType"))
    );
    assert_eq!(served.get(&format!("/v2/a/referrers/{}", sha256(b"x"))).json()["manifests"], json!([]));
    // By conex, which needs no tag for it here.
    assert_eq!(
        conex.ok(&["artifact", "ls", "--format", "{{.ArtifactType}}", &served.name("a:t1")]),
        "text/x-sign\n"
    );
    assert_eq!(page("").json()["tags"], json!(["t1", "t2", "t3"]));

    // What is needed is not deleted; a tag, then all.
    assert_eq!(served.ask("DELETE", &format!("/v2/a/blobs/{empty}"), &[], b"").status, 405);
    assert_eq!(served.ask("DELETE", "/v2/a/manifests/t1", &[], b"").status, 202);
    assert_eq!(page("").json()["tags"], json!(["t2", "t3"]));
    assert_eq!(served.ask("DELETE", &format!("/v2/a/manifests/{digest}"), &[], b"").status, 202);
    assert_eq!(served.get(&format!("/v2/a/manifests/{digest}")).status, 404);
    assert_eq!(served.get("/v2/a/manifests/t2").status, 404);
    assert_eq!(served.ask("DELETE", "/v2/a/manifests/t1", &[], b"").status, 404);
}

#[test]
fn nobody_writes_where_only_reading_is_allowed() {
    let conex = Conex::new();
    let served = Served::over(&conex, &["--read-only"]);
    for (method, path) in
        [("POST", "/v2/a/blobs/uploads/"), ("PUT", "/v2/a/manifests/t"), ("DELETE", "/v2/a/manifests/t")]
    {
        let refused = served.ask(method, path, &[], b"");
        assert_eq!((refused.status, refused.code().as_str()), (405, "UNSUPPORTED"));
    }
    assert_eq!(served.get("/v2/").status, 200);
    let error = conex.fails(125, &["registry", "serve", "--listen", "nowhere"]);
    assert!(error.contains("expected ADDRESS:PORT"), "{error}");
    let error = conex.fails(1, &["registry", "serve", "--listen", &served.address]);
    assert!(error.contains("cannot listen on"), "{error}");
}

#[test]
fn hostile_clients() {
    let conex = Conex::new();
    let served = Served::over(&conex, &["--connections", "4"]);
    for (request, status) in [
        (&b"GET / HTTP/9.9\r\n\r\n"[..], 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\r\n\r\n", 400),
        (b"POST /v2/a/blobs/uploads/ HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (b"PUT /v2/a/manifests/t HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n", 413),
        (b"POST /v2/a/blobs/uploads/?digest=sha256:x HTTP/1.1\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n", 400),
    ] {
        assert_eq!(served.raw(request).status, status, "{}", String::from_utf8_lossy(request));
    }
    let endless = [b"GET /v2/ HTTP/1.1\r\nX: ".as_slice(), &[b'a'; 40_000]].concat();
    assert_eq!(served.raw(&endless).status, 431);
    // Silent clients on all connections but one do not keep others out; the last that there is is waited for.
    let silent: Vec<TcpStream> =
        (0..3).map(|_| TcpStream::connect(&served.address).expect("a connection")).collect();
    assert_eq!(served.get("/v2/").status, 200);
    drop(silent);
    // Several requests on one connection, the second before the first is answered.
    let two = b"GET /v2/ HTTP/1.1\r\n\r\nGET /v2/x/tags/list HTTP/1.1\r\nConnection: close\r\n\r\n";
    let answers = served.raw(two);
    let rest = String::from_utf8_lossy(&answers.body);
    assert!(answers.status == 200 && rest.contains("HTTP/1.1 404 Not Found"), "{rest}");
    assert_eq!(std::fs::read_dir(conex.root().join("blobs/sha256")).expect("blobs").count(), 0);
}

#[test]
fn a_push_and_a_collection_at_once() {
    needs_root!();
    let (one, two) = (Conex::new(), Conex::new());
    let Some(alpine) = two.alpine() else { skip!("no alpine image (CONEX_TEST_IMAGES)") };
    let served = Served::over(&one, &[]);
    // An image that comes and goes: each removal collects what nothing needs.
    let empty = served.push_blob("a", b"{}");
    let image = manifest(&empty, 2, &json!({}));
    two.ok(&["tag", alpine, &served.name("pushed:1")]);
    for _ in 0..10 {
        let push = two.background(&["push", "-q", &served.name("pushed:1")]);
        let id = served.push_blob("a", b"{}");
        assert_eq!(id, empty);
        let put = served.ask("PUT", "/v2/a/manifests/t", &[("Content-Type", MANIFEST)], &image);
        assert!(put.status == 201, "{put:?}");
        let _ = one.run(&["rmi", "a:t"]);
        let pushed = push.finish();
        assert_eq!(pushed.code, 0, "{}", pushed.stderr);
        one.ok(&["rmi", "pushed:1"]);
    }
}
