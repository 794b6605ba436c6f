//! What of a conversation is sent to the model: as much as it needs and no more.
//!
//! Long runs die of context. Four things keep a conversation small, from the cheapest to the dearest:
//!
//! - `results`: what a tool says is made small before it enters the conversation, also by what of it is in view already
//!   (`known`). Nothing that was sent changes, so the provider's prompt cache keeps its prefix.
//! - `stale`: older texts that a newer result has replaced drop to a line. That breaks the cache from there on, so it is
//!   done where it pays: see [`worth`].
//! - `trim`: whole pairs of call and result go, the oldest first, and leave a line in the [`gist`].
//! - `compact`: near the window's end, or when the provider says that the prompt does not fit, the model is asked for a
//!   summary of its work so far, once for each need.
//!
//! `typed` spares a re-read: what the user changed since the model saw a file is told as a diff.
//!
//! All passes are pure functions over messages, each with a switch ([`Passes`]) and a count of what it saved
//! ([`Saved`]). `gauge` says how many tokens a request will have; `keeper` decides for a run when what is due.

pub mod calls;
pub mod compact;
pub mod gauge;
pub mod gist;
pub mod keeper;
pub mod known;
pub mod results;
pub mod stale;
pub mod trim;
pub mod typed;

/// Which passes are in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passes(u8);

/// One way of making a conversation smaller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Pass {
    /// Blanks at line ends, runs of empty lines and lines that repeat themselves, in the output of commands; blanks before
    /// the numbers of lines.
    Clean,
    /// Diagnostics with the same text become one line with several places.
    Merge,
    /// A result that stands in the conversation already becomes a reference to it.
    Repeats,
    /// Of a file that was read before only the lines are shown that are not in view already.
    Known,
    /// A result that is large for this model's window keeps its head and tail.
    Shorten,
    /// A text that was read again later drops to a line.
    Stale,
    /// The oldest pairs go.
    Trim,
}

impl Pass {
    /// All of them, in the order in which they work.
    pub const ALL: [Self; 7] =
        [Self::Clean, Self::Merge, Self::Repeats, Self::Known, Self::Shorten, Self::Stale, Self::Trim];

    /// Its name in the configuration and in readouts.
    pub fn name(self) -> &'static str {
        match self {
            Self::Clean => "clean",
            Self::Merge => "merge",
            Self::Repeats => "repeats",
            Self::Known => "known",
            Self::Shorten => "shorten",
            Self::Stale => "stale",
            Self::Trim => "trim",
        }
    }
}

impl Passes {
    /// All.
    pub const ALL: Self = Self(0x7f);
    /// None: a plain history.
    pub const NONE: Self = Self(0);

    /// The named ones; unknown names count for nothing.
    pub fn named<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let bit = |name: &str| Pass::ALL.iter().find(|pass| pass.name() == name).map_or(0, |pass| 1 << *pass as u8);
        Self(names.into_iter().fold(0, |bits, name| bits | bit(name)))
    }

    /// All but the named ones.
    pub fn without<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        Self(Self::ALL.0 & !Self::named(names).0)
    }

    /// Whether a pass is in force.
    pub fn has(self, pass: Pass) -> bool {
        self.0 & (1 << pass as u8) != 0
    }
}

impl Default for Passes {
    fn default() -> Self {
        Self::ALL
    }
}

/// Bytes that each pass kept out of the conversation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Saved([u64; Pass::ALL.len()]);

impl Saved {
    /// Counts what a pass did to a text.
    pub fn add(&mut self, pass: Pass, before: usize, after: usize) {
        self.0[pass as usize] += before.saturating_sub(after) as u64;
    }

    /// Adds another count to this one.
    pub fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.0.iter_mut().zip(other.0) {
            *mine += theirs;
        }
    }

    /// What a pass saved, in bytes.
    pub fn of(&self, pass: Pass) -> u64 {
        self.0[pass as usize]
    }

    /// Every pass by name, in bytes.
    pub fn by_name(&self) -> impl Iterator<Item = (&'static str, u64)> {
        Pass::ALL.into_iter().map(|pass| (pass.name(), self.of(pass)))
    }
}

/// What breaking the provider's prompt cache costs and brings, all in the same unit of text.
#[derive(Clone, Copy, Debug)]
pub struct Trade {
    /// What would go.
    pub removed: usize,
    /// What stands behind the first change and would have to be sent anew.
    pub behind: usize,
    /// Price of a token from the cache over the price of a new one; 1 where nothing is cached.
    pub cached_price: f64,
    /// How many more requests are to come. A run that has taken n steps takes about n more.
    pub to_come: u32,
}

/// Whether the change saves more than it costs: what goes would be paid for at the cache's price in every request to
/// come; what stands behind it is paid for once at the full price.
pub fn worth(trade: Trade) -> bool {
    let cached = trade.cached_price.clamp(0.0, 1.0);
    let gain = trade.removed as f64 * cached * f64::from(trade.to_come);
    let cost = trade.behind as f64 * (1.0 - cached);
    trade.removed > 0 && gain > cost
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passes_are_chosen_by_name() {
        assert_eq!(Passes::named(Pass::ALL.map(Pass::name)), Passes::ALL);
        let two = Passes::named(["stale", "trim", "no such pass"]);
        assert!(two.has(Pass::Stale) && two.has(Pass::Trim) && !two.has(Pass::Clean));
        assert_eq!(Passes::named([]), Passes::NONE);
        assert_eq!(crate::config::PASSES, Pass::ALL.map(Pass::name));
        assert!(!Passes::without(["trim"]).has(Pass::Trim) && Passes::without(["trim"]).has(Pass::Stale));
    }

    #[test]
    fn a_cache_is_broken_only_where_that_pays() {
        let trade = Trade { removed: 1_000, behind: 10_000, cached_price: 0.1, to_come: 10 };
        assert!(!worth(trade));
        assert!(worth(Trade { removed: 10_000, ..trade }));
        assert!(worth(Trade { cached_price: 1.0, ..trade }));
        assert!(!worth(Trade { removed: 0, cached_price: 1.0, ..trade }));
        assert!(!worth(Trade { to_come: 0, cached_price: 1.0, ..trade }));
    }
}
