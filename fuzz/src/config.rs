//! What is done with the bytes of a config.json before a process exists: nothing of it may panic, be slow, or say what is
//! wrong in more than one line.

use conex_oci::runtime::Spec;

/// Reads, writes and reads again; compiles the filter; works out what is to be done.
pub(crate) fn config(bytes: &[u8]) {
    let mut spec = match Spec::from_json(bytes) {
        Ok(spec) => spec,
        Err(error) => return clear(&error.to_string()),
    };
    let text = serde_json::to_vec(&spec).expect("a spec that was read can be written");
    let again = Spec::from_json(&text).expect("a spec that was written can be read");
    assert!(again == spec, "written and read again it is another");
    if let Some(seccomp) = spec.linux.as_ref().and_then(|linux| linux.seccomp.as_ref()) {
        match seccomp.rules().map_err(Into::into).and_then(|rules| conex_seccomp::compile(&rules)) {
            Ok(program) => assert!((1..=4096).contains(&program.instructions())),
            Err(error) => clear(&error.to_string()),
        }
    }
    // Nothing of the host's is opened by a name that was made up.
    spec.mounts.iter_mut().for_each(|mount| mount.source = None);
    let namespaces = spec.linux.iter_mut().flat_map(|linux| &mut linux.namespaces);
    namespaces.for_each(|namespace| namespace.path = None);
    let _ = conex_runtime::warnings(&spec);
    let _ = conex_runtime::check(&spec).map_err(|error| error.to_string());
}

/// One line that says something.
fn clear(message: &str) {
    assert!(!message.is_empty() && message.len() < 1500, "{} bytes: {message:.200}", message.len());
    assert!(!message.contains('\n'), "{message:?}");
}
