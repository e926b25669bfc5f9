//! Programs of the host, run to their end: what they are given, and what is told of them. Alone, since a fork wants one thread.

use conex_runtime::program::{find, output};

fn main() {
    let sh = find("sh".as_ref()).unwrap();
    let script = |text: &str| output(&sh, &["-c".to_owned(), text.to_owned()]);
    // More than a pipe holds, and nothing to read.
    let done = script("cat; yes | head -c 200000; echo why >&2; echo $HOME").unwrap();
    assert!(done.is_success());
    let home = format!("{}\n", std::env::var("HOME").unwrap_or_default());
    assert_eq!((done.stdout.len(), done.stderr.as_slice()), (200_000 + home.len(), &b"why\n"[..]));
    assert!(done.stdout.ends_with(home.as_bytes()));
    let done = script("exit 3").unwrap();
    assert_eq!((done.is_success(), done.ended().as_str()), (false, "exit status 3"));
    assert_eq!(script("kill -9 $$").unwrap().ended(), "killed by signal 9");
    // SIGPIPE, which Rust ignores, is as ever.
    assert_eq!(script("kill -PIPE $$; exit 0").unwrap().ended(), "killed by signal 13");
    for (program, kind) in [
        ("/etc/passwd", std::io::ErrorKind::PermissionDenied),
        ("/no/such/program", std::io::ErrorKind::NotFound),
    ] {
        assert_eq!(output(program.as_ref(), &[]).unwrap_err().kind(), kind, "{program}");
    }
    assert_eq!(find("no-such-program".as_ref()), None);
}
