//! `ropeway serve`: one editor, on standard input and output or over one loopback connection.
//!
//! Nothing is done here before the editor speaks but starting the runtime: the configuration is read when `initialize`
//! has said which folders and settings there are.

use super::args::ServeArgs;
use crate::config::EnvSnapshot;

/// Serves until the client ends it; the code is 0 only after a `shutdown`.
pub(super) fn serve(args: &ServeArgs, env: EnvSnapshot) -> anyhow::Result<u8> {
    let _ = (args.listen, env);
    anyhow::bail!("serving an editor is not in this version yet")
}
