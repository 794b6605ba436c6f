//! What packagers install beside the program: completions for shells, and manual pages. Both are made from the very
//! parser of the command line.

use std::io::{self, Write};
use std::path::Path;

use anyhow::{Context, bail};
use clap::{Command, CommandFactory};
use clap_complete::Shell;
use clap_mangen::Man;

use super::DONE;
use super::args::{Args, ManArgs};

/// Prints the completions of a shell.
pub(super) fn completions(shell: Shell) -> anyhow::Result<u8> {
    // The generator panics if it cannot write, and a closed pipe is no reason to.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "ropeway", &mut script);
    io::stdout().lock().write_all(&script)?;
    Ok(DONE)
}

/// Prints one manual page, or writes all into a directory.
pub(super) fn man(args: &ManArgs) -> anyhow::Result<u8> {
    let mut top = Args::command();
    top.build();
    if let Some(dir) = &args.dir {
        std::fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
        write_all(&top, dir)?;
        return Ok(DONE);
    }
    let mut command = &top;
    for word in &args.command {
        let Some(below) = command.find_subcommand(word).filter(|below| !below.is_hide_set()) else {
            bail!("there is no command `{}`; see ropeway --help", word.escape_debug());
        };
        command = below;
    }
    io::stdout().lock().write_all(&page(command)?)?;
    Ok(DONE)
}

fn write_all(command: &Command, dir: &Path) -> anyhow::Result<()> {
    let name = command.get_display_name().unwrap_or_else(|| command.get_name());
    let path = dir.join(format!("{name}.1"));
    #[expect(clippy::disallowed_methods, reason = "a subcommand writes where its user says; the server never does")]
    std::fs::write(&path, page(command)?).with_context(|| format!("cannot write {}", path.display()))?;
    let shown = command.get_subcommands().filter(|below| !below.is_hide_set() && below.get_name() != "help");
    for below in shown {
        write_all(below, dir)?;
    }
    Ok(())
}

fn page(command: &Command) -> anyhow::Result<Vec<u8>> {
    let name = command.get_display_name().unwrap_or_else(|| command.get_name()).to_owned();
    let is_top = name == "ropeway";
    let command = command.clone().disable_help_subcommand(true);
    // Without a date, so that the same version gives the same bytes; an empty word would be no word there.
    let source = concat!("ropeway ", env!("CARGO_PKG_VERSION"));
    let man = Man::new(command).title(name.to_uppercase()).section("1").date(" ").source(source).manual("Ropeway");
    let mut out = Vec::new();
    man.render(&mut out)?;
    if is_top {
        out.extend_from_slice(MORE.as_bytes());
    }
    Ok(out)
}

/// What the parser does not know, in the language of manual pages.
const MORE: &str = r#".SH FILES
.TP
\fI$ROPEWAY_CONFIG\fR, \fI$XDG_CONFIG_HOME/ropeway/config.toml\fR, \fI~/.config/ropeway/config.toml\fR
Your configuration: the first of them that is set. \fBropeway config schema\fR says what may stand in it.
.TP
\fIropeway.toml\fR
A project's configuration, at the root of its workspace. It can only tighten.
.TP
\fI$ROPEWAY_STATE_DIR\fR, \fI$XDG_STATE_HOME/ropeway\fR, \fI~/.local/state/ropeway\fR
Recordings, reports and answers.
.SH ENVIRONMENT
.TP
\fBROPEWAY_MODEL\fR, \fBROPEWAY_PROFILE\fR
Go over \fBmodel\fR and \fBprofile\fR of the configuration.
.TP
\fBROPEWAY_MAX_PARALLEL\fR, \fBROPEWAY_PARALLEL_TOOLS\fR, \fBROPEWAY_STREAM_DISPATCH\fR
Go over \fBtools.max_parallel\fR, \fBagent.parallel_tools\fR and \fBagent.stream_dispatch\fR.
.TP
\fBROPEWAY_CONFIG\fR, \fBROPEWAY_STATE_DIR\fR
Other places than those above.
.TP
\fBROPEWAY_CONFIG_CACHE_TTL\fR
Seconds for which a file that was parsed need not be parsed again while it has not changed; \fB0\fR: none.
.TP
\fBROPEWAY_BACKGROUND_IO\fR
\fBfalse\fR: recordings are written while a run waits.
.TP
\fBROPEWAY_OFF\fR
Optimisations to do without, such as \fBagent.prefetch,llm.http2\fR, or \fBall\fR; results stay the same.
.TP
\fBROPEWAY_LOG\fR
What to log, such as \fBwarn,ropeway=debug\fR.
.TP
\fBANTHROPIC_API_KEY\fR, \fBOPENAI_API_KEY\fR, \fBGEMINI_API_KEY\fR
The keys of the providers, unless \fBapi_key_env\fR names other variables.
.TP
\fBNO_COLOR\fR
If set, nothing is coloured.
.SH EXIT STATUS
.TP
\fB0\fR
Done.
.TP
\fB1\fR
It could not be done.
.TP
\fB2\fR
The command line cannot be understood.
.TP
\fB130\fR
Interrupted.
"#;
