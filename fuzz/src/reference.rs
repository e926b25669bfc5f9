//! What is done with a text that should be a name: of an image, a platform, a digest, a container. What is taken is written in one
//! way, which is read as the same, and is safe in a path, in a URL and on a terminal; what is not is refused in one line.

use conex_oci::{ContainerId, ContainerName, Digest, Platform, Reference};

/// Reads it as each; gives whether it names an image.
pub(crate) fn reference(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    if let Some(platform) = taken::<Platform>(&text) {
        words(&platform, '/');
    }
    if let Some(digest) = taken::<Digest>(&text) {
        assert_eq!(digest, *text, "a digest has one spelling");
    }
    taken::<ContainerId>(&text).inspect(|id| words(id, '/'));
    taken::<ContainerName>(&text).inspect(|name| words(name, '/'));
    let Ok(reference) = text.parse::<Reference>() else {
        taken::<Reference>(&text);
        return false;
    };
    taken::<Reference>(&text);
    // The short form means the same, and so do both with a digest.
    assert_eq!(reference.familiar().parse(), Ok(reference.clone()));
    let name: Reference = reference.familiar_name().parse().expect("a name without what it selects");
    assert_eq!((name.registry(), name.repository()), (reference.registry(), reference.repository()));
    let pinned = reference.with_digest(Digest::of(b""));
    assert_eq!(
        (pinned.familiar().parse(), pinned.to_string().parse()),
        (Ok(pinned.clone()), Ok(pinned.clone()))
    );
    words(reference.repository(), '/');
    words(reference.registry(), '/');
    assert!(!reference.registry().contains('/') && reference.to_string().len() <= 1024);
    reference.tag().inspect(|tag| words(tag, '\0'));
    true
}

/// What the text is, as it is written then, if it is taken; read and written again it is the same.
fn taken<T>(text: &str) -> Option<String>
where
    T: std::str::FromStr<Err: std::fmt::Display> + std::fmt::Display + PartialEq,
{
    match text.parse::<T>() {
        Ok(value) => {
            let text = value.to_string();
            let again =
                text.parse::<T>().unwrap_or_else(|error| panic!("{text:?} is not taken again: {error}"));
            assert!(again == value && again.to_string() == text, "{text:?} is read as another");
            Some(text)
        }
        Err(error) => {
            let message = error.to_string();
            assert!(
                !message.is_empty() && message.len() < 1500 && !message.contains(char::is_control),
                "{message:?}"
            );
            None
        }
    }
}

/// Words between separators that lead nowhere else, and that nothing has to quote.
fn words(text: &str, separator: char) {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-:[]".contains(c) || c == separator;
    assert!(text.chars().all(plain), "{text:?}");
    let stays = |word: &str| !matches!(word, "" | "." | "..") && !word.starts_with('-');
    assert!(text.split(separator).all(stays), "{text:?}");
}
