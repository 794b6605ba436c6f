//! One call that several may wait for: equal requests at the same time are sent, and paid, once.
//!
//! There is no task in the middle. Whoever wants the next event takes the line and drives it a step; the others find
//! the event in the log. So when the one who asked first goes away, the next of them just drives on, and when all are
//! gone the line is dropped with the connection below it.

use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use futures_util::future::BoxFuture;
use secrecy::ExposeSecret;
use tokio::sync::Notify;

use crate::config::ProviderConfig;
use crate::llm::client::RetryNotice;
use crate::llm::live::Live;
use crate::llm::provider::HttpRequest;
use crate::llm::{LlmError, StreamEvent};

/// Opens a stream; ends with its first event there.
pub(crate) type Opening = BoxFuture<'static, Result<Box<Live>, LlmError>>;

/// What was told while the call was opened, for all who wait for it.
#[derive(Debug, Default)]
pub(crate) struct Notices {
    told: Mutex<Vec<RetryNotice>>,
    more: Notify,
}

impl Notices {
    /// Tells all who wait.
    pub(crate) fn tell(&self, notice: RetryNotice) {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).push(notice);
        self.more.notify_waiters();
    }

    fn at(&self, place: usize) -> Option<RetryNotice> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).get(place).cloned()
    }

    fn len(&self) -> usize {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

enum Line {
    Opening(Opening),
    Streaming(Box<Live>),
    Over,
}

/// What has come so far.
#[derive(Default)]
struct Log {
    events: Vec<StreamEvent>,
    /// The first event is there, or was given to the only one who waited.
    begun: bool,
    ended: Option<Result<(), LlmError>>,
    may_restart: bool,
    attempts: u32,
}

/// A call under way.
pub(crate) struct Flight {
    line: tokio::sync::Mutex<Line>,
    log: Mutex<Log>,
    moved: Notify,
    notices: Arc<Notices>,
    /// One of them counts the usage.
    billed: AtomicBool,
    /// The whole answer is wanted at the end.
    recorded: bool,
}

impl std::fmt::Debug for Flight {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Flight")
    }
}

impl Flight {
    /// A call that `open` makes; it is given where to tell of its retries.
    pub(crate) fn new(recorded: bool, open: impl FnOnce(Arc<Notices>) -> Opening) -> Arc<Self> {
        let notices = Arc::<Notices>::default();
        Arc::new(Self {
            line: tokio::sync::Mutex::new(Line::Opening(open(Arc::clone(&notices)))),
            log: Mutex::default(),
            moved: Notify::new(),
            notices,
            billed: AtomicBool::new(false),
            recorded,
        })
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether one who comes now still gets everything.
    fn can_be_joined(&self) -> bool {
        let log = self.log();
        !log.begun && log.ended.is_none()
    }

    /// Attempts the opening took.
    pub(crate) fn attempts(&self) -> u32 {
        self.log().attempts
    }

    /// Whether the failed answer may be asked for again, as [`Live::may_restart`] says it.
    pub(crate) fn may_restart(&self) -> bool {
        self.log().may_restart
    }

    /// Waits for the first event, and tells of retries meanwhile.
    ///
    /// # Errors
    /// What ended the call before its first event.
    pub(crate) async fn begun(&self, notify: &(dyn Fn(RetryNotice) + Sync)) -> Result<(), LlmError> {
        // Who joins later hears what is told from then on.
        let mut heard = self.notices.len();
        let mut tell = || {
            while let Some(notice) = self.notices.at(heard) {
                heard += 1;
                notify(notice);
            }
        };
        let done = |log: &Log| log.begun || log.ended.is_some();
        loop {
            let moved = self.moved.notified();
            let more = self.notices.more.notified();
            tell();
            {
                let log = self.log();
                if log.begun {
                    return Ok(());
                }
                if let Some(ended) = &log.ended {
                    return ended.clone();
                }
            }
            // Who has the line hears of everything as it happens. Nearly always nobody else is there.
            if let Ok(line) = self.line.try_lock() {
                let mut step = std::pin::pin!(self.step(line, done));
                poll_fn(|context| {
                    let stepped = step.as_mut().poll(context);
                    tell();
                    stepped
                })
                .await;
                continue;
            }
            tokio::select! {
                biased;
                () = more => {}
                () = moved => {}
                () = self.drive(done) => {}
            }
        }
    }

    /// The event at this place of the answer; `None` behind its end.
    ///
    /// # Errors
    /// What ended the answer.
    pub(crate) async fn event(&self, at: usize) -> Result<Option<StreamEvent>, LlmError> {
        loop {
            let moved = self.moved.notified();
            {
                let log = self.log();
                if let Some(event) = log.events.get(at) {
                    let mut event = event.clone();
                    if let StreamEvent::Done(response) = &mut event
                        && self.billed.swap(true, Ordering::Relaxed)
                    {
                        response.usage = None;
                    }
                    return Ok(Some(event));
                }
                if let Some(ended) = &log.ended {
                    return ended.clone().map(|()| None);
                }
            }
            tokio::select! {
                biased;
                () = moved => {}
                () = self.drive(|log| log.events.len() > at || log.ended.is_some()) => {}
            }
        }
    }

    /// Takes the line, and moves it a step unless somebody has done so meanwhile. Dropped, it loses nothing: all that
    /// was begun stays in the line.
    async fn drive(&self, done: impl Fn(&Log) -> bool) {
        self.step(self.line.lock().await, done).await;
    }

    async fn step(&self, mut line: tokio::sync::MutexGuard<'_, Line>, done: impl Fn(&Log) -> bool) {
        if done(&self.log()) {
            return;
        }
        match &mut *line {
            Line::Opening(opening) => match opening.await {
                Ok(live) => {
                    let mut log = self.log();
                    log.begun = true;
                    log.attempts = live.timing.attempts;
                    *line = Line::Streaming(live);
                }
                Err(error) => {
                    self.log().ended = Some(Err(error));
                    *line = Line::Over;
                }
            },
            Line::Streaming(live) => {
                let event = live.next().await;
                let mut log = self.log();
                match event {
                    Ok(Some(event)) => log.events.push(event),
                    Ok(None) => log.ended = Some(Ok(())),
                    Err(error) => {
                        log.may_restart = live.may_restart();
                        log.ended = Some(Err(error));
                    }
                }
                if log.ended.is_some() {
                    *line = Line::Over;
                }
            }
            Line::Over => {}
        }
        drop(line);
        self.moved.notify_waiters();
    }

    /// The stream itself, where only one is left who waits for it and nobody can come any more.
    pub(crate) fn alone(self: Arc<Self>) -> Result<Box<Live>, Arc<Self>> {
        if self.recorded {
            return Err(self);
        }
        let flight = Arc::try_unwrap(self)?;
        match flight.line.into_inner() {
            Line::Streaming(live) if flight.log.lock().is_ok_and(|log| log.events.is_empty()) => Ok(live),
            line => Err(Arc::new(Self {
                line: tokio::sync::Mutex::new(line),
                log: flight.log,
                moved: Notify::new(),
                notices: flight.notices,
                billed: flight.billed,
                recorded: flight.recorded,
            })),
        }
    }

    /// All events of an answer that ended well and was to be recorded.
    pub(crate) fn recording(&self) -> Option<Vec<StreamEvent>> {
        let log = self.log();
        (self.recorded && matches!(log.events.last(), Some(StreamEvent::Done(_)))).then(|| log.events.clone())
    }
}

/// A request as it is sent: the same as another one if it goes to the same place and every byte is the same, those of the
/// credential included. They are compared, and not a digest of them: nearly always there is no other one.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    /// Where to.
    pub(crate) provider: Arc<ProviderConfig>,
    /// What.
    pub(crate) http: Arc<HttpRequest>,
}

impl PartialEq for Sent {
    fn eq(&self, other: &Self) -> bool {
        let ours = self.provider.headers.iter().map(|(name, value)| (name, value.expose_secret()));
        let theirs = other.provider.headers.iter().map(|(name, value)| (name, value.expose_secret()));
        self.http.body == other.http.body
            && self.http.path == other.http.path
            && self.http.headers == other.http.headers
            && self.provider.name == other.provider.name
            && self.provider.base_url == other.provider.base_url
            && ours.eq(theirs)
    }
}

/// Calls that can still be joined: few, and of bodies that mostly differ in length, so nothing is gained by hashing them.
#[derive(Debug, Default)]
pub(crate) struct Flights(Mutex<Vec<(Sent, Weak<Flight>)>>);

impl Flights {
    fn lock(&self) -> MutexGuard<'_, Vec<(Sent, Weak<Flight>)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The call for this request that is under way, else a new one; says which.
    pub(crate) fn join(&self, key: Sent, open: impl FnOnce() -> Arc<Flight>) -> (Arc<Flight>, bool) {
        let mut flights = self.lock();
        // What has ended without being taken out was given up by all who waited.
        flights.retain(|(_, flight)| flight.strong_count() > 0);
        let mut same = flights.iter().filter(|(sent, _)| *sent == key).filter_map(|(_, flight)| flight.upgrade());
        if let Some(flight) = same.find(|flight| flight.can_be_joined()) {
            return (flight, true);
        }
        let flight = open();
        flights.push((key, Arc::downgrade(&flight)));
        (flight, false)
    }

    /// Lets nobody join any more.
    pub(crate) fn leave(&self, flight: &Arc<Flight>) {
        self.lock().retain(|(_, known)| !std::ptr::eq(known.as_ptr(), Arc::as_ptr(flight)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ProviderKind;
    use crate::llm::endpoint::example;

    fn sent(url: &str, key: &str, own: &str, body: &str) -> Sent {
        let mut provider = example(ProviderKind::OpenAi, url);
        provider.headers = vec![("x-own".to_owned(), own.to_owned().into())];
        let headers = [("authorization".parse().unwrap(), key.parse().unwrap())].into_iter().collect();
        let http = HttpRequest { path: "chat".to_owned(), headers, body: body.to_owned().into() };
        Sent { provider: Arc::new(provider), http: Arc::new(http) }
    }

    #[test]
    fn only_what_goes_to_the_same_place_with_the_same_credentials_and_bytes_is_the_same() {
        let one = sent("https://a.b", "k1", "h1", "body");
        assert_eq!(one, sent("https://a.b", "k1", "h1", "body"));
        for other in [
            sent("https://a.c", "k1", "h1", "body"),
            sent("https://a.b", "k2", "h1", "body"),
            sent("https://a.b", "k1", "h2", "body"),
            sent("https://a.b", "k1", "h1", "bodx"),
            sent("https://a.b", "k1", "h1", "bod"),
        ] {
            assert_ne!(one, other);
        }
    }
}
