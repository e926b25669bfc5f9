//! Enumerations whose values are the kernel's own names, as `SCHED_FIFO`.

/// An enum with one name a variant, read and written as that name; an unknown one is an error that lists the known.
macro_rules! constants {
    ($(#[$meta:meta])* pub enum $kind:ident { $($(#[$doc:meta])* $variant:ident = $name:literal,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $kind {
            $($(#[$doc])* #[doc = concat!("`", $name, "`")] $variant,)*
        }

        impl $kind {
            /// All of them, in the specification's order.
            pub const ALL: [Self; [$($name),*].len()] = [$(Self::$variant),*];

            /// The specification's name.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// The value with this name.
            pub fn from_name(name: &str) -> Option<Self> {
                Self::ALL.into_iter().find(|known| known.name() == name)
            }
        }

        impl serde::Serialize for $kind {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.name())
            }
        }

        impl<'de> serde::Deserialize<'de> for $kind {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Name;

                // By a visitor, so that a parser that knows the place can add it to the error.
                impl serde::de::Visitor<'_> for Name {
                    type Value = $kind;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        formatter.write_str("a name")
                    }

                    fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<$kind, E> {
                        $kind::from_name(name).ok_or_else(|| E::unknown_variant(name, &[$($name),*]))
                    }
                }

                deserializer.deserialize_str(Name)
            }
        }
    };
}

pub(super) use constants;
