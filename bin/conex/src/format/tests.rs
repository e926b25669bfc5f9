use proptest::prelude::*;
use serde_json::{Value, json};

use super::Template;

fn data() -> Value {
    json!({
        "ID": "abc", "Size": 1234, "Ratio": 0.5, "Empty": "", "Running": true, "None": null,
        "Names": ["web", "db"], "Labels": {"b": "2", "a": "1"}, "Ports": {},
        "State": {"Status": "running", "Pid": 42, "Nested": {"Deep": "down"}},
        "Mounts": [{"Source": "/a", "RW": true}, {"Source": "/b", "RW": false}],
    })
}

fn render(template: &str) -> String {
    match Template::parse(template).and_then(|template| template.render(&data())) {
        Ok(text) => text,
        Err(error) => format!("!{error}"),
    }
}

#[track_caller]
fn check(cases: &[(&str, &str)]) {
    for (template, expected) in cases {
        assert_eq!(render(template), *expected, "{template}");
    }
}

#[test]
fn fields_and_text() {
    check(&[
        ("plain", "plain"),
        ("{{.ID}}", "abc"),
        ("<{{ .ID }}>", "<abc>"),
        ("{{.State.Status}}/{{.State.Nested.Deep}}", "running/down"),
        ("{{$.ID}} {{$x := .State}}{{$x.Pid}}", "abc 42"),
        ("{{(index .Mounts 1).Source}}", "/b"),
        ("{{.Size}} {{.Ratio}} {{.Running}} {{.None}}", "1234 0.5 true <no value>"),
        ("{{.Names}} {{.Labels}}", "[web db] map[a:1 b:2]"),
        ("{{.Labels.zzz}}", "<no value>"),
        ("{{json .State.Nested}}", r#"{"Deep":"down"}"#),
        ("{{json .ID}} {{json .Names}} {{json .None}}", r#""abc" ["web","db"] null"#),
        ("{{.State.Statu}}", "!template:1:3: <.Statu>: there is no field Statu"),
        ("{{.ID.X}}", "!template:1:3: <.X>: can't evaluate field X in a string"),
        ("a\nb {{.None.X}}", "!template:2:5: <.X>: nil value has no field X"),
    ]);
}

#[test]
fn trim_markers_and_comments() {
    check(&[
        ("a  {{- .ID -}}  b", "aabcb"),
        ("a {{- 3}} {{-3}}", "a3 -3"),
        ("a {{/* no */}} b", "a  b"),
        ("a {{- /* no */ -}} b", "ab"),
        ("{{/* open", "!template:1:1: unclosed comment"),
        ("{{.ID", "!template:1:1: unclosed action"),
        ("}}", "}}"),
    ]);
}

#[test]
fn blocks() {
    check(&[
        ("{{if .Running}}up{{else}}down{{end}}", "up"),
        ("{{if .Empty}}x{{else if .Ports}}y{{else}}z{{end}}", "z"),
        ("{{with .State}}{{.Pid}} {{$.ID}}{{end}}", "42 abc"),
        ("{{with .Empty}}x{{else}}{{.ID}}{{end}}", "abc"),
        ("{{with .Empty}}x{{else with .ID}}{{.}}{{end}}", "abc"),
        ("{{range .Names}}{{println .}}{{end}}", "web\ndb\n"),
        ("{{range $i, $n := .Names}}{{if $i}},{{end}}{{$i}}={{$n}}{{end}}", "0=web,1=db"),
        ("{{range $n := .Names}}{{$n}};{{end}}", "web;db;"),
        ("{{range $k, $v := .Labels}}{{$k}}{{$v}} {{end}}", "a1 b2 "),
        ("{{range .Mounts}}{{.Source}}{{end}}", "/a/b"),
        ("{{range .Ports}}x{{else}}none{{end}}", "none"),
        ("{{range .None}}x{{end}}", ""),
        ("{{range 3}}{{.}}{{end}}", "012"),
        ("{{range .Names}}{{if eq . \"db\"}}{{break}}{{end}}{{.}}{{end}}", "web"),
        ("{{range .Names}}{{if eq . \"web\"}}{{continue}}{{end}}{{.}}{{end}}", "db"),
        ("{{$x := 1}}{{range .Names}}{{$x = .}}{{end}}{{$x}}", "db"),
        ("{{$x := 1}}{{if true}}{{$x := 2}}{{$x}}{{end}}{{$x}}", "21"),
        ("{{range .ID}}{{end}}", "!template:1:9: range can't iterate over abc"),
        ("{{if .ID}}", "!template:1:1: unclosed {{if}}: {{end}} is missing"),
        ("{{end}}", "!template:1:1: unexpected {{end}}"),
        ("{{else}}", "!template:1:1: unexpected {{else}}"),
        ("{{if .ID}}a{{else}}b{{else}}c{{end}}", "!template:1:21: a second {{else}}"),
        ("{{break}}", "!template:1:1: {{break}} outside {{range}}"),
        ("{{range .Names}}{{$y := 1}}{{end}}{{$y}}", "!template:1:37: undefined variable \"$y\""),
        ("{{template \"x\"}}", "!template:1:1: {{template}} is not supported"),
    ]);
}

#[test]
fn functions_and_pipes() {
    check(&[
        ("{{len .Names}} {{len .ID}} {{.Names | len}}", "2 3 2"),
        ("{{index .Labels \"a\"}}{{index .Names 1}}{{index .Labels \"zz\"}}", "1db<no value>"),
        ("{{index .Names 7}}", "!template:1:3: error calling index: index out of range: 7"),
        (
            "{{join .Names \",\"}} {{upper .ID}} {{.ID | upper | lower}} {{title \"a bc\"}}",
            "web,db ABC abc A Bc",
        ),
        ("{{range split \"a/b/c\" \"/\"}}[{{.}}]{{end}}", "[a][b][c]"),
        ("{{print 1 2 \"a\" 3}}|{{println .ID 1}}", "1 2a3|abc 1\n"),
        ("{{printf \"%s-%d-%v-%q-%5.2f%%\" .ID .Size .Running .ID .Ratio}}", "abc-1234-true-\"abc\"- 0.50%"),
        ("{{printf \"%-6s|%6s|%06d|%x|%+d\" .ID .ID .Size 255 3}}", "abc   |   abc|001234|ff|+3"),
        ("{{printf \"%d %s\" .ID}}", "%!d(abc) %!s(MISSING)"),
        ("{{printf \"x\" 1}}", "x%!(EXTRA 1)"),
        (
            "{{eq .ID \"abc\"}} {{eq .Size 1 1234}} {{ne .Size 1}} {{lt 1 2}} {{ge \"b\" \"a\"}}",
            "true true true true true",
        ),
        ("{{and .ID .Empty .None.X}}{{or .Empty .ID}} {{not .Empty}}", "abc true"),
        ("{{and (gt .Size 1000) (le .Size 2000)}}", "true"),
        ("{{slice .ID 1 2}}{{truncate .ID 2}}{{pad \"x\" 1 2}}|", "bab x  |"),
        ("{{\"a\\tb\\u00e9\"}}{{`raw\\n`}} {{'a'}} {{0x10}} {{1.5}} {{1e3}}", "a\tbéraw\\n 97 16 1.5 1000"),
        (
            "{{eq .ID 1}}",
            "!template:1:3: error calling eq: incompatible types for comparison: a string and a number",
        ),
        ("{{nosuch .ID}}", "!template:1:3: function \"nosuch\" not defined"),
        ("{{upper}}", "!template:1:3: error calling upper: wrong number of args: want 1 got 0"),
        ("{{.ID | .Size}}", "!template:1:9: <.Size>: the field Size takes no arguments"),
        ("{{.Labell \"x\"}}", "!template:1:3: <.Labell>: there is no field Labell"),
        ("{{$x := 1}}{{$x 2}}", "!template:1:14: can't give arguments to a value that is no function"),
        (
            "{{html \"<a b='c'>&\\\"\"}} {{urlquery \"a b/ü~\"}} {{.ID | html}}",
            "&lt;a b=&#39;c&#39;&gt;&amp;&#34; a+b%2F%C3%BC~ abc",
        ),
        ("{{js \"it's <b>=\\n\"}}", "it\\'s \\u003Cb\\u003E\\u003D\\u000A"),
        ("{{.ID | 3}}", "!template:1:9: only a function can stand after a pipe"),
        ("{{}}", "!template:1:3: missing value for command"),
        ("{{(.ID}}", "!template:1:3: unclosed left parenthesis"),
        ("{{\"a}}", "!template:1:3: unterminated quoted string"),
        ("{{.ID ! }}", "!template:1:7: unexpected character '!' in action"),
    ]);
}

#[test]
fn values_of_known_types() {
    use super::shape::Shape::{Alias, Any, Duration, Flag, List, Number, Pointer, Struct, Text, Time};
    use super::shape::{Shape, TEXTS, WORDS};
    const HEALTH: Shape = Struct(&[("Log", List(&Any))]);
    const SHAPE: Shape = Struct(&[
        ("ID", Alias("Id")),
        ("Health", Pointer(&HEALTH)),
        ("Old", Pointer(&HEALTH)),
        ("Init", Pointer(&Flag)),
        ("Limit", Pointer(&Number)),
        ("Labels", TEXTS),
        ("None", TEXTS),
        ("Words", WORDS),
        ("Name", Text),
        ("Wait", Duration),
        ("Waits", List(&Duration)),
        ("Times", List(&Time)),
        ("Never", Time),
        ("Ends", Shape::Map(&Pointer(&Struct(&[("Links", WORDS)])))),
    ]);
    let data = json!({
        "Id": "abc", "Old": {"Status": "ok", "Log": null}, "Init": false, "Labels": {"A": "1"}, "None": null,
        "Waits": [1, 1_500, 20_000_000, 1_000_000_000, 61_500_000_000_i64, 3_600_000_000_000_i64, -5_000_000_000_i64],
        "Times": ["2026-11-27T10:00:00Z", "2026-11-27T10:00:00.120000000Z", "2026-11-27T10:00:00+01:00", "soon"],
        "Words": null, "Ends": {"a": {"Address": "1.2.3.4"}},
    });
    for (template, expected) in [
        ("{{if .Health}}{{.Health.Status}}{{else}}none{{end}}", "none"),
        ("{{with .Health}}x{{else}}none{{end}} {{json .Health}} {{.Health}}", "none null <nil>"),
        ("{{.Health.Status}}", "!template:1:3: <.Status>: nil value has no field Status"),
        ("{{.Old.Status}} {{len .Old.Log}}{{range .Old.Log}}x{{end}}", "ok 0"),
        ("{{.Old.Nope}}", "!template:1:3: <.Nope>: there is no field Nope"),
        ("{{.Haelth}}", "!template:1:3: <.Haelth>: there is no field Haelth"),
        ("{{.ID}} {{.Name}}|{{json .Name}}", "abc |\"\""),
        (
            "{{index .Labels \"zz\"}}|{{index .None \"zz\"}}|{{.Labels.zz}}|{{.None.zz}}",
            "||<no value>|<no value>",
        ),
        ("{{index .Labels \"A\"}}{{.Labels.A}}", "11"),
        ("{{.Words}} {{.None}} {{.Limit}} {{len .Words}}{{len .None}}", "[] map[] <nil> 00"),
        (
            "{{json .Words}} {{print .Words}} {{printf \"%v %s\" .None .Words}} {{join .Words \",\"}}|",
            "null [] map[] [] |",
        ),
        ("{{range .Words}}x{{else}}none{{end}} {{slice .Words 0 0}}", "none []"),
        ("{{index .Words 0}}", "!template:1:3: error calling index: index out of range: 0"),
        // A pointer is true whatever it points to, and so is a struct.
        ("{{if .Init}}given{{end}} {{.Init}}{{if .Limit}}x{{end}}", "given false"),
        ("{{.Ends.a.Address}} {{.Ends.a.Links}} {{.Ends.b.Address}}", "1.2.3.4 [] <no value>"),
        ("{{range $k, $v := .Ends}}{{$k}}{{len $v.Links}}{{end}}", "a0"),
        ("{{.Wait}}{{range .Waits}} {{.}}{{end}}", "0s 1ns 1.5µs 20ms 1s 1m1.5s 1h0m0s -5s"),
        (
            "{{with index .Waits 3}}{{printf \"%s %v %d\" . . .}} {{json .}} {{gt . 5}}{{end}}",
            "1s 1s 1000000000 1000000000 true",
        ),
        (
            "{{range .Times}}{{.}}|{{end}}{{.Never}}",
            "2026-11-27 10:00:00 +0000 UTC|2026-11-27 10:00:00.12 +0000 UTC|2026-11-27 10:00:00 +0100 +0100|soon|0001-01-01 00:00:00 +0000 UTC",
        ),
        ("{{$h := .Health}}{{if $h}}x{{else}}{{not $h}}{{end}}", "true"),
    ] {
        let rendered = Template::parse(template).and_then(|parsed| parsed.render_shaped(&data, &SHAPE));
        let text = rendered.unwrap_or_else(|error| format!("!{error}"));
        assert_eq!(text, expected, "{template}");
    }
}

#[test]
fn a_template_that_does_too_much_is_stopped() {
    let nested = "{{range 2000}}".repeat(5) + &"{{end}}".repeat(5);
    assert!(render(&nested).contains("does too much"), "{}", render(&nested));
    let deep = "{{if true}}".repeat(500) + &"{{end}}".repeat(500);
    assert!(render(&deep).contains("nested too deeply"), "{}", render(&deep));
    let parentheses = format!("{{{{{}1{}}}}}", "(".repeat(9000), ")".repeat(9000));
    assert!(render(&parentheses).contains("nested too deeply"));
    let doubling = "{{$x := \"aaaaaaaaaaaaaaaa\"}}{{range 100}}{{$x = print $x $x}}{{end}}";
    assert!(render(doubling).starts_with('!'));
    let wide = "{{printf \"%999999999d\" 1}}";
    assert_eq!(render(wide).len(), 4096);
    assert!(render("{{range 9223372036854775807}}x{{end}}").contains("does too much"));
}

proptest! {
    #[test]
    fn any_text_renders_or_fails_without_panic(text in ".{0,60}") {
        let _ = render(&text);
    }

    #[test]
    fn any_action_renders_or_fails_without_panic(
        words in proptest::collection::vec(
            proptest::sample::select(vec![
                "{{", "}}", "{{- ", " -}}", ".", ".ID", ".Names", "$", "$x", ":=", "=", ",", "|", "(", ")", " ", "if",
                "else", "end", "range", "with", "break", "index", "len", "printf", "json", "\"%s\"", "\"", "`", "'a'",
                "1", "-1", "1.5", "eq", "and", "not", "slice", "nil", "true", "/*", "*/", "é", "\n",
            ]),
            0..24,
        )
    ) {
        let _ = render(&words.concat());
    }

    #[test]
    fn text_without_actions_is_itself(text in "[^{]{0,60}") {
        prop_assert_eq!(render(&text), text);
    }
}
