//! Hooks that come together leave together.
//!
//! A worker takes up one task after the other. If each hook that came went out to its API as soon as it is read, the API
//! would be woken for it, be done with it while the worker reads the next one, and sleep again: a wake-up a hook, which is
//! paid by whoever sends. So all that came are read first, and then all are sent.

use std::{future::poll_fn, task::Poll};

/// Completes when each task of this worker that is ready by now had its turn. Without one, that is at once.
pub(super) async fn after_the_others() {
    let mut asked = false;
    poll_fn(|cx| {
        if asked {
            return Poll::Ready(());
        }
        asked = true;
        // To the end of the worker's queue. The body that was just read has this task there already, so that it costs no
        // turn of its own.
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        net::TcpListener,
        sync::{Arc, Mutex},
        time::Duration,
    };

    use futures_util::{FutureExt as _, future::join_all};
    use tokio::time::Instant;

    use super::*;
    use crate::{
        connector::{Api, Ask, Connector, Correlation, IdempotencyKey, normalize::tests::connector},
        flow::{Claims, Step},
        limits::RetryBudget,
        telemetry::Metrics,
    };

    #[tokio::test]
    async fn what_is_ready_is_read_before_any_of_it_is_sent() {
        let said = Arc::new(Mutex::new(Vec::new()));
        let hook = |number: u8| {
            let said = Arc::clone(&said);
            tokio::spawn(async move {
                said.lock().unwrap().push(("read", number));
                after_the_others().await;
                said.lock().unwrap().push(("sent", number));
            })
        };
        join_all([hook(1), hook(2), hook(3)]).await;
        let expected = [("read", 1), ("read", 2), ("read", 3), ("sent", 1), ("sent", 2), ("sent", 3)];
        assert_eq!(*said.lock().unwrap(), expected);
    }

    #[tokio::test]
    async fn a_call_goes_out_at_its_second_turn() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let mut config = connector();
        config.endpoint.port = listener.local_addr().unwrap().port();
        let api = Api::succeeding(config, &Metrics::new(), &Arc::new(RetryBudget::new()), None).unwrap();
        let ask = Ask {
            claims: &Claims::default(),
            step: Step::PreTokenIssuance,
            correlation: Correlation {
                request_id: "r-1",
                traceparent: None,
                tracestate: None,
                idempotency_key: IdempotencyKey::fresh(),
            },
            deadline: Instant::now() + Duration::from_secs(4),
        };
        let mut call = Arc::new(Connector::succeeding(api, None)).call(ask);
        assert!((&mut call).now_or_never().is_none());
        let nobody = listener.accept().unwrap_err();
        assert_eq!(nobody.kind(), io::ErrorKind::WouldBlock);
        assert!((&mut call).now_or_never().is_none());
        listener.accept().unwrap();
    }
}
