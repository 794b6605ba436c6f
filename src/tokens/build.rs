//! Run by Cargo before the crate is built: lays the vocabularies out as the program reads them (`table.rs`).

#![expect(clippy::disallowed_methods, reason = "a program of Cargo's, no part of the server")]

#[path = "table.rs"]
#[expect(dead_code, reason = "what only the reading side needs")]
mod table;

use std::path::Path;

use table::{FREE, NONE, PAIRS, RANK, hash, pair, tag};
use tiktoken_rs::CoreBPE;

fn main() {
    for file in ["build.rs", "table.rs"] {
        println!("cargo::rerun-if-changed=src/tokens/{file}");
    }
    let folder = std::env::var_os("OUT_DIR").expect("Cargo says where to write");
    for (name, theirs) in [("o200k", tiktoken_rs::o200k_base()), ("cl100k", tiktoken_rs::cl100k_base())] {
        write(Path::new(&folder), name, &theirs.expect("the vocabularies are part of tiktoken-rs"));
    }
}

fn write(folder: &Path, name: &str, theirs: &CoreBPE) {
    // Ranks are dense from 0; behind the last is a gap, then the special tokens.
    let tokens: Vec<Vec<u8>> = (0..).map_while(|rank| theirs.decode_bytes(&[rank]).ok()).collect();
    assert!((100_000..RANK as usize).contains(&tokens.len()), "{} tokens in {name}", tokens.len());
    let mut slots = vec![FREE; (tokens.len() * 2).next_power_of_two()];
    let mut pairs = vec![NONE; PAIRS];
    let mask = slots.len() - 1;
    let mut starts = vec![0];
    for (rank, token) in (0..).zip(&tokens) {
        starts.push(starts[starts.len() - 1] + token.len() as u32);
        if let [first, second] = token[..] {
            pairs[pair(first, second)] = rank;
        }
        let hash = hash(token);
        let mut at = hash as usize & mask;
        while slots[at] != FREE {
            at = (at + 1) & mask;
        }
        slots[at] = tag(hash) | rank;
    }
    let longest = tokens.iter().map(Vec::len).max().unwrap_or_default();
    let words =
        [tokens.len() as u32, longest as u32, slots.len() as u32].into_iter().chain(starts).chain(slots).chain(pairs);
    let words: Vec<u8> = words.flat_map(u32::to_le_bytes).collect();
    for (kind, bytes) in [("bytes", tokens.concat()), ("words", words)] {
        std::fs::write(folder.join(format!("{name}.{kind}")), bytes).expect("the folder can be written");
    }
}
