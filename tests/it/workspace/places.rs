//! Files that are protected for where they are, judged when they are staged and again when they are delivered.
#![cfg(unix)]

use std::os::unix::fs::symlink;

use ropeway::text::Text;
use ropeway::workspace::{DeliveryOp, Protection, StageError, Staged};

use super::desk::Desk;

/// What git takes for a repository of its own.
fn repository(desk: &Desk, folder: &str) {
    desk.put(&format!("{folder}/HEAD"), "ref: refs/heads/main\n");
    desk.put(&format!("{folder}/config"), "[core]\n\tbare = false\n");
    std::fs::create_dir_all(desk.at(&format!("{folder}/objects"))).unwrap();
    std::fs::create_dir_all(desk.at(&format!("{folder}/refs"))).unwrap();
}

fn make(desk: &Desk, rel: &str) -> Result<Staged, StageError> {
    desk.ws.stage_create(&desk.run, &desk.path(rel), Text::from("x"))
}

fn is_denied(result: Result<Staged, StageError>) -> bool {
    matches!(result, Err(StageError::Denied { .. }))
}

#[test]
fn a_git_directory_is_denied_by_whatever_name_it_is_kept() {
    let desk = Desk::new();
    repository(&desk, "store/repo");
    assert!(is_denied(make(&desk, "store/repo/hooks/post-checkout")), "known by what is in it");
    assert!(is_denied(desk.try_replace(&desk.read("store/repo/config"), "false", "true")));
    assert!(is_denied(desk.ws.stage_delete(&desk.run, &desk.path("store/repo/config"))));
    desk.put("a", "a\n");
    assert!(is_denied(desk.ws.stage_rename(&desk.run, &desk.path("a"), &desk.path("store/repo/hooks/x"))));
    assert!(is_denied(desk.ws.stage_rename(&desk.run, &desk.path("store/repo/config"), &desk.path("b"))));
    assert!(make(&desk, "store/note").is_ok() && make(&desk, "HEADS").is_ok());
}

#[test]
fn where_a_git_file_points_nothing_is_made_even_before_there_is_a_repository() {
    for (pointer, place) in
        [("gitdir: store\n", "store"), ("gitdir: ./deep/../store/x/\n", "store/x"), ("gitdir:store\r\n", "store")]
    {
        let desk = Desk::new();
        desk.put(".git", pointer);
        assert!(is_denied(make(&desk, &format!("{place}/config"))), "{pointer}");
        assert!(is_denied(make(&desk, &format!("{}/config", place.to_uppercase()))), "{pointer} in other letters");
        assert!(make(&desk, "stores/config").is_ok());
    }
    let desk = Desk::new();
    desk.put("sub/.git", &format!("gitdir: {}\n", desk.at("sub/meta").display()));
    assert!(is_denied(make(&desk, "sub/meta/hooks/x")), "an absolute one, of a folder below the root");
    let desk = Desk::new();
    symlink("elsewhere/git", desk.at(".git")).unwrap();
    std::fs::create_dir_all(desk.at("elsewhere/git")).unwrap();
    assert!(is_denied(make(&desk, "elsewhere/git/config")), "a link");
    // A hostile pointer is none.
    for pointer in ["", "gitdir:", "gitdir: ../../../etc", "gitdir: a\0b", &"gitdir: x/".repeat(5_000), "x"] {
        let desk = Desk::new();
        desk.put(".git", pointer);
        assert!(make(&desk, "config.toml").is_ok(), "{pointer:?}");
    }
}

#[test]
fn what_work_trees_have_in_common_is_denied_too() {
    let desk = Desk::new();
    desk.put("tree/.git", "gitdir: ../store/worktrees/tree\n");
    desk.put("store/worktrees/tree/commondir", "../..\n");
    desk.put("store/worktrees/tree/HEAD", "ref: refs/heads/main\n");
    assert!(is_denied(make(&desk, "store/worktrees/tree/config")));
    assert!(is_denied(make(&desk, "tree/.git")) && make(&desk, "tree/a").is_ok());
    // From within the tree the pointer is on the way.
    desk.put("tree/.git", "gitdir: meta\n");
    desk.put("tree/meta/commondir", "../common\n");
    assert!(is_denied(make(&desk, "tree/meta/config")));
    assert!(is_denied(make(&desk, "tree/common/hooks/x")));
    desk.put("tree/meta/HEAD", "ref: refs/heads/main\n");
    assert!(is_denied(make(&desk, "tree/meta/x")));
}

#[test]
fn the_folder_in_which_git_is_told_to_look_for_hooks_asks() {
    let desk = Desk::new();
    desk.put(".git/config", "[core]\n\tbare = false\n\thooksPath = \"tools/hooks\"\n");
    assert!(matches!(make(&desk, "tools/hooks/pre-commit").unwrap().protection, Protection::Ask(_)));
    assert_eq!(make(&desk, "tools/other").unwrap().protection, Protection::None);
}

#[test]
fn ropeways_own_files_are_denied_by_every_name_that_leads_to_them() {
    let desk = Desk::new();
    desk.put("home/conf/config.toml", "");
    desk.put("home/state/allowed", "");
    symlink("home/state", desk.at("s")).unwrap();
    std::fs::hard_link(desk.at("home/conf/config.toml"), desk.at("innocent")).unwrap();
    let at = |rel: &str| desk.at(rel);
    desk.ws.keep_off([at("home/conf/config.toml"), at("home/state"), at("home/later")]);
    for rel in ["home/state/new", "home/STATE/new", "s/new", "home/later", "home/later/x", "ropeway.toml"] {
        assert!(is_denied(make(&desk, rel)), "{rel}");
    }
    for rel in ["home/conf/config.toml", "innocent", "s/allowed"] {
        assert!(is_denied(desk.ws.stage_delete(&desk.run, &desk.path(rel))), "{rel}");
    }
    assert!(make(&desk, "home/conf/other").is_ok());
}

#[test]
fn a_workspace_in_the_state_directory_is_one_like_any_other() {
    let desk = Desk::new();
    desk.ws.keep_off([desk.at(".."), desk.at("")]);
    assert!(make(&desk, "a").is_ok());
}

#[test]
fn a_link_of_a_protected_name_is_as_good_as_the_name() {
    let desk = Desk::new();
    desk.put("docs/all.md", "Be kind.\n");
    symlink("docs/all.md", desk.at("AGENTS.md")).unwrap();
    let staged = desk.replace("AGENTS.md", "kind", "cruel");
    assert_eq!(staged.path, desk.path("docs/all.md"));
    assert!(matches!(staged.protection, Protection::Ask(_)));
    assert!(matches!(desk.delivery().protection, Protection::Ask(_)));
    // The first edit by the plain name, the second by the other.
    let desk = Desk::new();
    desk.put("docs/all.md", "Be kind.\n");
    symlink("docs/all.md", desk.at("AGENTS.md")).unwrap();
    assert_eq!(desk.replace("docs/all.md", "Be", "be").protection, Protection::None);
    desk.replace("AGENTS.md", "kind", "cruel");
    assert!(matches!(desk.delivery().protection, Protection::Ask(_)));
}

#[test]
fn what_became_protected_since_it_was_staged_is_judged_anew_at_delivery() {
    let desk = Desk::new();
    desk.put("store/config", "[core]\n");
    desk.replace("store/config", "[core]\n", "[core]\n\tfsmonitor = evil\n");
    make(&desk, "store/hooks/x").unwrap();
    desk.put("free", "x\n");
    desk.ws.stage_rename(&desk.run, &desk.path("free"), &desk.path("store/moved")).unwrap();
    assert!(desk.ws.deliveries(&desk.run).iter().all(|delivery| delivery.protection == Protection::None));
    repository(&desk, "store");
    desk.put("store/config", "[core]\n");
    let deliveries = desk.ws.deliveries(&desk.run);
    assert_eq!(deliveries.len(), 3, "{deliveries:?}");
    assert!(deliveries.iter().any(|delivery| matches!(delivery.op, DeliveryOp::Rename { .. })));
    for delivery in deliveries {
        assert!(matches!(delivery.protection, Protection::Deny(_)), "{delivery:?}");
    }
}

#[test]
fn a_buffer_whose_name_leads_elsewhere_by_now_is_not_edited() {
    let desk = Desk::new();
    desk.put("src/config", "a\n");
    desk.put(".git/config", "a\n");
    symlink("src", desk.at("link")).unwrap();
    let uri = desk.uri("link/config");
    let _ = desk.ws.open(&uri, "text", None, Text::from("a\n"));
    let staged = desk.replace("src/config", "a", "b");
    assert_eq!(desk.delivery().uri, uri, "the client's own name of it");
    assert_eq!(staged.protection, Protection::None);
    std::fs::remove_file(desk.at("link")).unwrap();
    symlink(".git", desk.at("link")).unwrap();
    assert!(desk.ws.deliveries(&desk.run).is_empty());
    assert_eq!(desk.conflicts().len(), 1);
}
