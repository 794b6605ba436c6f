//! A connection of HTTP/1.1 that is about to be free is waited for, rather than one more opened.
//!
//! Between the last event of an answer and the moment its connection is back in the pool there are the end of the body
//! and two tasks of the HTTP library. A request sent in that gap, which is where an agent's next step is, finds the
//! pool empty and starts to connect; the connection that comes back then serves it, and the new one, handshake and all,
//! was for nothing. So the connector waits while a connection is on its way back, and gives up once the request that it
//! is for has one. Where none comes the wait is short and rare.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use http_body::{Body, Frame, SizeHint};
use reqwest::header::{CONNECTION, HeaderMap};
use reqwest::{Response, Version};
use tokio::sync::Notify;
use tokio::time::Instant;

/// How long the end of a body may take after the protocol's end, before its connection is given up.
const SETTLE: Duration = Duration::from_millis(100);
/// How long a connection whose body has ended may take into the pool; on a busy machine its task waits for a core.
const GRACE: Duration = Duration::from_millis(100);
/// A connection that came back longer ago is in the pool, or closed.
const RECENT: Duration = Duration::from_secs(1);

tokio::task_local! {
    /// The request that is being sent: the HTTP library calls the connector in its midst, and does not say for whom.
    static SENT: u64;
}

/// The connections of one pool, as far as they can be seen from outside.
#[derive(Debug, Default)]
pub(crate) struct Turnover {
    opened: AtomicU64,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// Requests so far.
    asked: u64,
    /// Those that have no connection yet, or may have none.
    unplaced: Vec<Asked>,
    /// Answers that are complete and whose body is not.
    returning: usize,
    /// Connections that came back and that no request has had since, and when the last one did.
    back: usize,
    returned: Option<Instant>,
    /// The last answer came by HTTP/1.1.
    http1: bool,
}

/// A request without a connection.
#[derive(Debug)]
struct Asked {
    number: u64,
    /// One was opened for it, so it takes none that came back.
    own: bool,
}

impl State {
    fn unplaced(&mut self, number: Option<u64>) -> Option<&mut Asked> {
        self.unplaced.iter_mut().find(|asked| Some(asked.number) == number)
    }
}

/// The request has another connection by now.
#[derive(Debug, thiserror::Error)]
#[error("a connection that came back was enough")]
pub(crate) struct NotNeeded;

impl Turnover {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Connections opened so far.
    pub(crate) fn opened(&self) -> u64 {
        self.opened.load(Ordering::Relaxed)
    }

    /// One more is open, for this request if it has none yet, else for the pool.
    pub(crate) fn opens(&self, request: Option<u64>) {
        self.opened.fetch_add(1, Ordering::Relaxed);
        let mut state = self.state();
        match state.unplaced(request) {
            Some(asked) => asked.own = true,
            None => {
                state.back += 1;
                state.returned = Some(Instant::now());
            }
        }
    }

    /// A request is sent; it waits for a connection until what this gives is dropped.
    pub(crate) fn asks(self: &Arc<Self>) -> Unplaced {
        let mut state = self.state();
        state.asked += 1;
        let number = state.asked;
        state.unplaced.push(Asked { number, own: false });
        Unplaced { turnover: Arc::clone(self), number }
    }

    /// The body of a request, and who says that it still has no connection: the body itself, which is asked for its
    /// bytes once there is one, or the caller. HTTP/2 has one connection for all, and wants bodies that can be sent
    /// again.
    pub(crate) fn body(&self, bytes: Bytes, unplaced: Unplaced) -> (reqwest::Body, Option<Unplaced>) {
        if bytes.is_empty() || !self.state().http1 {
            return (reqwest::Body::from(bytes), Some(unplaced));
        }
        (reqwest::Body::wrap(Placing { bytes, unplaced: Some(unplaced) }), None)
    }

    /// Takes note of an answer's head, so that its connection can be given back by [`give_back`].
    pub(crate) fn answered(self: &Arc<Self>, response: &mut Response) {
        let http1 = response.version() == Version::HTTP_11;
        self.state().http1 = http1;
        if http1 && !closes(response.headers()) {
            response.extensions_mut().insert(Arc::clone(self));
        }
    }

    /// Returns when a connection has to be opened for this request.
    ///
    /// # Errors
    /// None has to be.
    pub(crate) async fn hold(&self, request: Option<u64>) -> Result<(), NotNeeded> {
        let begun = Instant::now();
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            // What happens from here on is not missed.
            changed.as_mut().enable();
            let now = Instant::now();
            let until = {
                let mut state = self.state();
                if state.unplaced(request).is_none() {
                    return Err(NotNeeded);
                }
                // Counted from when it is wanted: the thread may have stood still since it came back.
                let recent = state.returned.is_some_and(|returned| state.back > 0 && returned + RECENT > begun);
                let until = begun + if state.returning > 0 { SETTLE + GRACE } else { GRACE };
                if (state.returning == 0 && !recent) || until <= now {
                    // In vain: it was closed.
                    state.back = 0;
                    return Ok(());
                }
                until
            };
            // Whether it changed or took too long is looked at above.
            let _ = tokio::time::timeout_at(until, changed).await;
        }
    }
}

/// The server said that this connection ends here.
fn closes(headers: &HeaderMap) -> bool {
    headers
        .get_all(CONNECTION)
        .iter()
        .any(|value| value.to_str().is_ok_and(|value| value.to_ascii_lowercase().contains("close")))
}

/// A request without a connection.
#[derive(Debug)]
pub(crate) struct Unplaced {
    turnover: Arc<Turnover>,
    number: u64,
}

impl Unplaced {
    /// What the request is known by to its connector.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }
}

impl Drop for Unplaced {
    fn drop(&mut self) {
        let mut state = self.turnover.state();
        let place = state.unplaced.iter().position(|asked| asked.number == self.number);
        if let Some(place) = place
            && !state.unplaced.swap_remove(place).own
        {
            state.back = state.back.saturating_sub(1);
        }
        drop(state);
        self.turnover.changed.notify_waiters();
    }
}

/// Sends a request, so that a connector knows whom it is called for.
pub(crate) fn sending<F: Future>(number: u64, work: F) -> impl Future<Output = F::Output> {
    SENT.scope(number, work)
}

/// The request that is being sent, if this is called in its midst.
pub(crate) fn being_sent() -> Option<u64> {
    SENT.try_with(|number| *number).ok()
}

/// A connection on its way back.
struct Returning(Arc<Turnover>);

impl Returning {
    fn of(response: &Response) -> Option<Self> {
        let turnover = Arc::clone(response.extensions().get::<Arc<Turnover>>()?);
        turnover.state().returning += 1;
        Some(Self(turnover))
    }
}

impl Drop for Returning {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.returning -= 1;
        state.back += 1;
        state.returned = Some(Instant::now());
        drop(state);
        self.0.changed.notify_waiters();
    }
}

/// Takes an answer that is complete. Its connection is only given back to the pool once the body has been read to the
/// end, and that may still be on its way.
pub(crate) fn give_back(mut response: Response) {
    let returning = Returning::of(&response);
    while let Some(chunk) = response.chunk().now_or_never() {
        match chunk {
            Ok(Some(_)) => {}
            Ok(None) | Err(_) => return,
        }
    }
    if response.version() == Version::HTTP_11 {
        #[expect(
            clippy::disallowed_methods,
            reason = "ends itself after a tenth of a second and touches nothing but its socket"
        )]
        tokio::spawn(async move {
            let rest = async { while let Ok(Some(_)) = response.chunk().await {} };
            // If it takes longer the connection is closed, which costs the next request a handshake.
            let _ = tokio::time::timeout(SETTLE, rest).await;
            drop(returning);
        });
    }
}

/// The body of a request that tells when it is sent.
struct Placing {
    bytes: Bytes,
    unplaced: Option<Unplaced>,
}

impl Body for Placing {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        self.unplaced = None;
        let bytes = std::mem::take(&mut self.bytes);
        Poll::Ready((!bytes.is_empty()).then(|| Ok(Frame::data(bytes))))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.len() as u64)
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn hold(asked: &Unplaced) -> Result<(), NotNeeded> {
        asked.turnover.hold(Some(asked.number)).await
    }

    fn returning(turnover: &Arc<Turnover>) -> Returning {
        turnover.state().returning += 1;
        Returning(Arc::clone(turnover))
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_waited_for_where_nothing_comes_back() {
        let turnover = Arc::<Turnover>::default();
        let asked = turnover.asks();
        let begun = Instant::now();
        assert!(hold(&asked).await.is_ok());
        assert_eq!(begun.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_on_its_way_back_is_waited_for_but_not_for_ever() {
        let turnover = Arc::<Turnover>::default();
        let (asked, back) = (turnover.asks(), returning(&turnover));
        let begun = Instant::now();
        assert!(hold(&asked).await.is_ok());
        assert_eq!(begun.elapsed(), SETTLE + GRACE);
        drop(back);
        let begun = Instant::now();
        assert!(hold(&asked).await.is_ok());
        assert_eq!(begun.elapsed(), GRACE);
        let number = Some(asked.number);
        drop(asked);
        assert!(turnover.hold(number).await.is_err(), "nobody waits for it");
        let asked = turnover.asks();
        let begun = Instant::now();
        assert!(hold(&asked).await.is_ok());
        assert_eq!(begun.elapsed(), Duration::ZERO, "what came back was taken");
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_with_a_connection_of_its_own_takes_none_that_came_back() {
        let turnover = Arc::<Turnover>::default();
        let (first, second) = (turnover.asks(), turnover.asks());
        turnover.opens(Some(first.number));
        turnover.opens(Some(second.number));
        drop(first);
        drop(returning(&turnover));
        // Only now its head has come.
        drop(second);
        let third = turnover.asks();
        let begun = Instant::now();
        assert!(hold(&third).await.is_ok());
        assert_eq!(begun.elapsed(), GRACE);
    }

    #[tokio::test(start_paused = true)]
    async fn once_its_request_has_a_connection_none_is_opened_whoever_else_waits() {
        let turnover = Arc::<Turnover>::default();
        let (first, second) = (turnover.asks(), turnover.asks());
        let number = Some(first.number);
        let (back, _later) = (returning(&turnover), returning(&turnover));
        let served = async {
            tokio::task::yield_now().await;
            drop(back);
            drop(first);
        };
        let begun = Instant::now();
        let (held, ()) = tokio::join!(turnover.hold(number), served);
        assert!(held.is_err() && begun.elapsed() == Duration::ZERO);
        assert!(hold(&second).await.is_ok());
    }

    #[tokio::test]
    async fn a_connector_is_told_whom_it_is_called_for() {
        let turnover = Arc::<Turnover>::default();
        let (first, second) = (turnover.asks(), turnover.asks());
        assert_eq!(sending(second.number, async { being_sent() }).await, Some(second.number));
        assert_eq!(being_sent(), None);
        // What was opened although the request has a connection is for the next one.
        let number = Some(first.number);
        drop(first);
        turnover.opens(number);
        assert_eq!(turnover.state().back, 1);
    }

    #[test]
    fn a_body_is_whole_and_says_how_long_it_is_and_when_it_is_sent() {
        let turnover = Arc::<Turnover>::default();
        turnover.state().http1 = true;
        let mut body = Placing { bytes: Bytes::from_static(b"abc"), unplaced: Some(turnover.asks()) };
        assert_eq!(
            (body.size_hint().exact(), body.is_end_stream(), turnover.state().unplaced.len()),
            (Some(3), false, 1)
        );
        let mut context = Context::from_waker(std::task::Waker::noop());
        let Poll::Ready(Some(Ok(frame))) = Pin::new(&mut body).poll_frame(&mut context) else { panic!("all at once") };
        assert_eq!(frame.into_data().unwrap(), "abc");
        assert_eq!((body.is_end_stream(), turnover.state().unplaced.len()), (true, 0));
    }
}
