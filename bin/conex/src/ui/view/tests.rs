use ratatui::Terminal;
use ratatui::backend::TestBackend;

use super::*;

const PLAIN: Theme = Theme { colors: false };

fn model() -> Model {
    let mut model = Model::new();
    let usage = Usage {
        cpu: 12.5,
        memory: 3 << 20,
        limit: 64 << 20,
        pids: 7,
        pressure: [Some(1.25), None, Some(0.0)],
    };
    let one = |name: &str, state, status: &str, usage| Container {
        id: format!("id-{name}"),
        name: name.to_owned(),
        image: "alpine:3.20".to_owned(),
        state,
        status: status.to_owned(),
        usage,
    };
    let containers = vec![
        one("web", "running", "Up 2 hours (healthy)", Some(usage)),
        one("old", "exited", "Exited (1) 3 days ago", None),
    ];
    for _ in 0..300 {
        model.set_containers(containers.clone());
    }
    model.set_images(vec![Image { name: "alpine".to_owned(), tag: "3.20".to_owned(), ..Image::default() }]);
    model
}

fn drawn(model: &mut Model, width: u16, height: u16, theme: Theme) -> ratatui::buffer::Buffer {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a terminal");
    terminal.draw(|frame| draw(frame, model, theme)).expect("drawn").buffer.clone()
}

fn lines(model: &mut Model, width: u16, height: u16) -> Vec<String> {
    let buffer = drawn(model, width, height, PLAIN);
    let symbols: Vec<_> = buffer.content.iter().map(ratatui::buffer::Cell::symbol).collect();
    symbols.chunks(usize::from(width)).map(<[&str]>::concat).collect()
}

#[test]
fn a_row_has_what_ps_and_stats_have() {
    let lines = lines(&mut model(), 120, 30);
    assert!(lines[0].starts_with(" Containers 2  Images 1   sort: name"), "{}", lines[0]);
    let rows = lines[2..4].join("\n");
    for text in
        ["old", "Exited (1) 3 days ago", "--", "web", "Up 2 hours (healthy)", "12.50%", "3MiB / 64MiB", "7"]
    {
        assert!(rows.contains(text), "no {text} in\n{rows}");
    }
    assert!(lines[29].contains("logs") && lines[29].contains("quit"), "{}", lines[29]);
}

#[test]
fn graphs_are_of_the_one_that_is_chosen() {
    use ratatui::crossterm::event::KeyCode;
    let mut model = model();
    assert!(!lines(&mut model, 120, 30).concat().contains('█'));
    model.key(KeyCode::Down.into());
    let shown = lines(&mut model, 120, 30).concat();
    for text in ["CPU 12.50%", "Memory 3MiB", "Waits cpu 1.2% io 0.0%", "█"] {
        assert!(shown.contains(text), "no {text} in {shown}");
    }
}

#[test]
fn any_size_is_drawn_with_anything_on_it() {
    let overs: [fn() -> Over; 5] = [
        || Over::Nothing,
        || Over::Help,
        || Over::Filter,
        || Over::Ask(vec!["rm".to_owned()], "remove web".to_owned()),
        || {
            let mut pager = Pager::new("logs web", true);
            pager.take("häßlich 漢字 \u{301}\n".repeat(50).as_bytes());
            Over::Text(pager)
        },
    ];
    let mut model = model();
    for tab in [Tab::Containers, Tab::Images] {
        for over in overs {
            for (width, height) in
                [(1, 1), (2, 3), (40, 10), (39, 40), (64, 18), (200, 1), (80, 24), (300, 100)]
            {
                (model.tab, model.over) = (tab, over());
                drawn(&mut model, width, height, Theme { colors: true });
            }
        }
    }
    let small = lines(&mut Model::new(), 40, 10).join("\n");
    assert!(small.contains("No containers") && small.contains("quit") && small.contains("?help"), "{small}");
}

#[test]
fn without_colours_there_are_none() {
    let colours = |theme| {
        let cells = drawn(&mut model(), 120, 30, theme).content;
        cells.iter().filter(|cell| cell.fg != Color::Reset || cell.bg != Color::Reset).count()
    };
    assert_eq!(colours(PLAIN), 0);
    assert!(colours(Theme { colors: true }) > 0);
}
