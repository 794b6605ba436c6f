//! What the played model says: three responses, the same every time.
//!
//! It reacts to nothing but the number of the response. Each response relies on what the real server's tools returned
//! before, and the player checks that it is there: a played answer to results that never came would be a lie.

use serde_json::{Value, json};

/// One thing in a response.
#[derive(Clone, Debug)]
pub enum Step {
    /// Text for the user.
    Say(&'static str),
    /// A tool call.
    Call {
        /// The provider's name for it.
        id: &'static str,
        /// The tool.
        tool: &'static str,
        /// What the timeline shows while the call is being written.
        label: &'static str,
        /// Its arguments.
        arguments: Value,
    },
    /// Speaks on once the user's typing is done, so that the typing is always in the middle of the run.
    AwaitTyping,
}

/// One response.
#[derive(Clone, Debug)]
pub struct Turn {
    /// Pieces that the tool results so far must contain.
    pub relies_on: &'static [&'static str],
    /// How long its tokens take against the others': a model that looks around is slower than one that copies.
    pub slowness: u32,
    /// What it says.
    pub steps: Vec<Step>,
}

/// The call whose beginning starts the user's typing.
pub const TYPING_STARTS: &str = "call_9";

fn call(id: &'static str, tool: &'static str, label: &'static str, arguments: Value) -> Step {
    Step::Call { id, tool, label, arguments }
}

/// The replacements: file, then old and new text of each.
type Replacements = &'static [(&'static str, &'static str)];

const MONEY: Replacements = &[
    ("exact.\"\"\"\n", "exact.\"\"\"\n\nfrom decimal import ROUND_HALF_UP, Decimal\n"),
    (
        "    return int(float(text) * 100)\n",
        "    return nearest(Decimal(text) * 100)\n\n\ndef percent(cents, rate):\n    \"\"\"That many percent of an amount, \
         to the nearest cent.\"\"\"\n    return nearest(Decimal(cents) * rate / 100)\n\n\ndef nearest(amount):\n    \
         return int(amount.quantize(Decimal(1), ROUND_HALF_UP))\n",
    ),
];
const CART: Replacements =
    &[("return int(total * (1 - self.discount / 100))", "return money.percent(total, 100 - self.discount)")];
const TAX: Replacements = &[
    ("PERCENT = 19\n", "from shop import money\n\nPERCENT = 19\n"),
    ("return int(net * PERCENT / 100)", "return money.percent(net, PERCENT)"),
];

fn edit(id: &'static str, label: &'static str, path: &str, replacements: Replacements) -> Step {
    let edits: Vec<Value> =
        replacements.iter().map(|(old, new)| json!({"old_string": old, "new_string": new})).collect();
    call(id, "edit_file", label, json!({"path": path, "edits": edits}))
}

/// The responses, in order.
pub fn turns() -> Vec<Turn> {
    vec![
        Turn {
            relies_on: &[],
            slowness: 24,
            steps: vec![
                Step::Say("Seven cents are missing. I look wherever an amount is computed."),
                call("call_1", "grep", "grep int\\(", json!({"pattern": "\\bint\\(", "glob": "**/*.py", "context": 2})),
                call("call_2", "read_file", "read shop/receipt.py", json!({"path": "shop/receipt.py"})),
                call("call_3", "read_file", "read shop/cart.py", json!({"path": "shop/cart.py"})),
                call("call_4", "read_file", "read shop/money.py", json!({"path": "shop/money.py"})),
                call("call_5", "read_file", "read shop/tax.py", json!({"path": "shop/tax.py"})),
            ],
        },
        Turn {
            relies_on: &[
                "int(float(text) * 100)",
                "return int(total * (1 - self.discount / 100))",
                "return int(net * PERCENT / 100)",
            ],
            slowness: 11,
            steps: vec![
                Step::Say(
                    "Prices, discount and tax each cut the fraction off. I round in one place and use it in all three.",
                ),
                call("call_6", "grep", "grep tax.on", json!({"pattern": "tax.on(", "literal": true})),
                edit("call_7", "edit shop/money.py", "shop/money.py", MONEY),
                edit("call_8", "edit shop/cart.py", "shop/cart.py", CART),
                edit("call_9", "edit shop/tax.py", "shop/tax.py", TAX),
            ],
        },
        Turn {
            relies_on: &["vat = tax.on(net)"],
            slowness: 16,
            steps: vec![
                Step::Say("Amounts are now rounded to the nearest cent, in `money.nearest`; "),
                Step::AwaitTyping,
                Step::Say("prices, discount and tax all go through it. The receipt comes to 56.80."),
            ],
        },
    ]
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn the_played_edits_make_the_expected_files_but_for_the_typed_line() {
        for (path, replacements) in [("shop/money.py", MONEY), ("shop/cart.py", CART), ("shop/tax.py", TAX)] {
            let file = sample::file(path).unwrap();
            let mut text = file.before.to_owned();
            for (old, new) in replacements {
                assert_eq!(text.matches(old).count(), 1, "{path}: {old}");
                text = text.replace(old, new);
            }
            if path == sample::TYPED_IN {
                let after = sample::TYPED_AFTER;
                text = text.replace(after, &format!("{after}\n        {}", sample::TYPED));
            }
            assert_eq!(text, file.after, "{path}");
        }
    }

    #[test]
    fn what_a_response_relies_on_is_in_the_sample() {
        let all: String = sample::FILES.iter().map(|file| file.before).collect();
        for needle in turns().iter().flat_map(|turn| turn.relies_on) {
            assert!(all.contains(needle), "{needle}");
        }
    }
}
