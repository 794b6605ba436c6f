//! A list of which nearly every event has one member: that one costs no memory of its own.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, SeqAccess, Visitor};

/// The first member in place, all others in a list.
#[derive(Debug)]
pub(crate) struct Few<T> {
    first: Option<T>,
    rest: Vec<T>,
}

impl<T> Few<T> {
    /// The members in their order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.first.iter().chain(&self.rest)
    }

    /// The member, if there is exactly one.
    pub(crate) fn only(&self) -> Option<&T> {
        self.first.as_ref().filter(|_| self.rest.is_empty())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Few<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Members<T> {
            type Value = Few<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Few<T>, A::Error> {
                let first = list.next_element()?;
                let mut rest = Vec::new();
                while let Some(member) = list.next_element()? {
                    rest.push(member);
                }
                Ok(Few { first, rest })
            }
        }
        deserializer.deserialize_seq(Members(PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_keep_their_order_and_another_shape_is_refused() {
        for text in ["[]", "[1]", "[1,2]", "[3,2,1,0]"] {
            let few: Few<u8> = serde_json::from_str(text).unwrap();
            assert_eq!(few.iter().copied().collect::<Vec<_>>(), serde_json::from_str::<Vec<u8>>(text).unwrap());
        }
        for text in ["{}", "1", "[\"a\"]", "[1"] {
            assert!(serde_json::from_str::<Few<u8>>(text).is_err(), "{text}");
        }
    }
}
