//! What the types of names and ids have in common: a text that is looked at once, when the value is made.

/// Gives `struct $name(String)` with a `FromStr` what goes with it: `as_str`, `Display`, and the conversions that serde's
/// `try_from = "String", into = "String"` wants.
#[macro_export]
macro_rules! checked_text {
    ($name:ident) => {
        impl $name {
            /// As text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl ::std::fmt::Display for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl ::std::convert::TryFrom<String> for $name {
            type Error = <Self as ::std::str::FromStr>::Err;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                text.parse()
            }
        }

        impl ::std::convert::From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }
    };
}

/// Docker's rule for names of containers, networks and volumes, `[a-zA-Z0-9][a-zA-Z0-9_.-]*`: the name of a file, and a word of a command
/// that is no flag.
pub fn is_name(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes.next().is_some_and(|byte| byte.is_ascii_alphanumeric())
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-'))
}

/// Docker's form of the ids of containers and networks: 64 hexadecimal digits in lower case.
pub fn is_id(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}
