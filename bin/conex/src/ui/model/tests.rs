use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::*;

fn model() -> Model {
    let mut model = Model::new();
    let one = |name: &str, state, cpu, memory| Container {
        id: format!("id-{name}"),
        name: name.to_owned(),
        image: "alpine:3.20".to_owned(),
        state,
        status: "Up".to_owned(),
        usage: Some(Usage { cpu, memory, limit: 100, pids: 1, pressure: [Some(0.5), None, Some(2.0)] }),
    };
    let containers =
        vec![one("b", "running", 1.0, 30), one("a", "paused", 2.0, 20), one("c", "exited", 3.0, 10)];
    model.set_containers(containers);
    model
}

fn press(model: &mut Model, code: KeyCode) -> Option<Request> {
    model.key(KeyEvent::new(code, KeyModifiers::NONE))
}

fn types(model: &mut Model, text: &str) -> Option<Request> {
    text.chars().map(|c| press(model, KeyCode::Char(c))).last().flatten()
}

fn names(model: &Model) -> String {
    model.containers().iter().map(|one| one.name.as_str()).collect()
}

#[test]
fn sorted_by_what_is_used_most() {
    let mut model = model();
    let orders: Vec<_> = (0..6)
        .map(|_| {
            let order = (model.sort.word(), names(&model));
            types(&mut model, "s");
            order
        })
        .collect();
    let expected = [
        ("name", "abc"),
        ("cpu", "cab"),
        ("memory", "bac"),
        ("pids", "abc"),
        ("state", "bca"),
        ("name", "abc"),
    ];
    assert_eq!(orders, expected.map(|(word, order)| (word, order.to_owned())));
}

#[test]
fn the_cursor_stays_on_its_container() {
    let mut model = model();
    press(&mut model, KeyCode::Down);
    assert_eq!(model.container().map(|one| one.name.as_str()), Some("b"));
    types(&mut model, "s");
    assert_eq!(model.container().map(|one| one.name.as_str()), Some("b"));
    assert_eq!(model.cursor(), Some(2));
    press(&mut model, KeyCode::End);
    press(&mut model, KeyCode::Down);
    assert_eq!(model.cursor(), Some(2));
    model.set_containers(Vec::new());
    assert_eq!((model.cursor(), press(&mut model, KeyCode::Up), types(&mut model, "o")), (None, None, None));
    assert!(model.history("id-b").is_none());
}

#[test]
fn a_filter_is_typed_kept_and_cleared() {
    let mut model = model();
    // While it is typed, keys are letters.
    assert_eq!(types(&mut model, "/Cq"), None);
    assert_eq!(names(&model), "");
    press(&mut model, KeyCode::Backspace);
    assert_eq!(names(&model), "c");
    press(&mut model, KeyCode::Enter);
    assert_eq!(names(&model), "c");
    press(&mut model, KeyCode::Esc);
    assert_eq!(names(&model), "abc");
}

#[test]
fn verbs_name_containers_by_id() {
    let mut model = model();
    let act = |verb: &str, name: &str| {
        let words = vec![verb.to_owned(), format!("id-{name}")];
        Some(Request::Act(words, format!("{verb} {name}")))
    };
    // The first is paused.
    for (key, verb) in [("t", "start"), ("o", "stop"), ("r", "restart"), ("k", "kill"), ("p", "unpause")] {
        assert_eq!(types(&mut model, key), act(verb, "a"), "{key}");
    }
    assert_eq!(types(&mut model, "e"), None);
    assert!(model.status.1);
    press(&mut model, KeyCode::Down);
    assert_eq!(types(&mut model, "p"), act("pause", "b"));
    assert_eq!(
        types(&mut model, "e"),
        Some(Request::Lend(["exec", "-it", "id-b", "sh"].map(String::from).into()))
    );
}

#[test]
fn removing_wants_a_yes() {
    for (answer, removes) in [("y", true), ("n", false), ("d", false), ("q", false)] {
        let mut model = model();
        assert_eq!(types(&mut model, "d"), None);
        let request = types(&mut model, answer);
        assert_eq!(request.is_some(), removes, "{answer}");
        assert!(matches!(model.over, Over::Nothing));
    }
    let mut model = model();
    let request = types(&mut model, "dy");
    assert_eq!(
        request,
        Some(Request::Act(["rm", "-f", "id-a"].map(String::from).into(), "remove a".to_owned()))
    );
}

#[test]
fn images_are_removed_by_the_name_that_is_shown() {
    let mut model = model();
    let image = |name: &str, tag: &str| Image {
        id: "0123456789ab".to_owned(),
        name: name.to_owned(),
        tag: tag.to_owned(),
        ..Image::default()
    };
    model.set_images(vec![image("alpine", "3.20"), image("<none>", "<none>")]);
    press(&mut model, KeyCode::Tab);
    let removed =
        |name: &str| Some(Request::Act(["rmi", name].map(String::from).into(), format!("remove {name}")));
    assert_eq!(types(&mut model, "dy"), removed("alpine:3.20"));
    press(&mut model, KeyCode::Down);
    assert_eq!(types(&mut model, "dy"), removed("0123456789ab"));
    // Verbs of containers do nothing to images.
    assert_eq!(types(&mut model, "o"), None);
}

#[test]
fn q_leaves_a_text_before_the_program() {
    let mut model = model();
    model.over = Over::Text(Pager::new("logs a", true));
    assert_eq!(types(&mut model, "q"), Some(Request::Close));
    assert_eq!(types(&mut model, "q"), Some(Request::Quit));
    types(&mut model, "/");
    assert_eq!(model.key(KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL)), Some(Request::Quit));
}

#[test]
fn graphs_go_back_so_far_and_no_further() {
    let mut model = model();
    for _ in 0..2 * HISTORY {
        let containers = model.containers.clone();
        model.set_containers(containers);
    }
    let history = model.history("id-a").expect("a history");
    assert_eq!((history.cpu.len(), history.cpu[0], history.pressure[0]), (HISTORY, 200, 200));
    assert_eq!(hundredths(f64::NAN), 0);
}

#[test]
fn text_that_would_move_things_is_shown() {
    assert_eq!(clean("a\u{1b}[2J\tb\r\n"), "a\\u001b[2J    b\\u000d\\u000a");
    assert_eq!(clean("a\u{202e}b\u{200b}"), "a\u{fffd}b\u{fffd}");
}
