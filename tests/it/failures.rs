//! Every failure at every step under every `on_failure`: what the identity provider gets, when, and what is written down
//! and counted. The rows are generated from the list of all reasons; a new one does not compile without a way to it.

mod check;
mod faults;
mod means;
mod refused;
mod stage;

use claimgate::flow::Reason;

use self::{
    check::{Asked, Counts, check, check_abandoned, check_diagnostics},
    faults::{Fault, Way, faults},
    means::{May, ON_FAILURE, means},
    refused::Small,
    stage::{FILES, Stage, starve},
};
use super::support::STEPS;

/// Every step under every `on_failure` that may stand there.
fn hooks() -> impl Iterator<Item = (&'static str, &'static str)> {
    ON_FAILURE
        .into_iter()
        .flat_map(|(on_failure, _, steps)| steps.iter().map(move |step| (*step, on_failure)))
}

/// One hook for each of the faults that are wanted, one after the other.
fn ask_all(
    stage: &Stage,
    step: &'static str,
    on_failure: &'static str,
    wanted: impl Fn(Way) -> bool,
) -> Vec<Asked> {
    let wanted = |fault: &Fault| wanted(fault.way) && (!fault.at_token_only || step == STEPS[2]);
    let numbered = stage.faults.iter().enumerate().rev().filter(|(_, fault)| wanted(fault));
    // What waits for a held permit comes first.
    numbered.map(|(number, _)| stage.ask(number, step, on_failure)).collect()
}

#[test]
fn every_failure_becomes_what_on_failure_says_and_is_told_apart_everywhere() {
    let at_once = |way| !matches!(way, Way::Starved | Way::Refused | Way::Inside(_));
    let stage = Stage::set(at_once);
    let held = stage.spend();
    let spent = stage.requests();
    let mut counts = Counts::default();

    let alone = |way| matches!(way, Way::Stray | Way::HangsUp);
    let mut asked: Vec<Asked> = std::thread::scope(|scope| {
        let together = move |way| !alone(way);
        let stage = &stage;
        let threads: Vec<_> =
            hooks().map(|(step, of)| scope.spawn(move || ask_all(stage, step, of, together))).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("its hooks were answered")).collect()
    });
    // The order of these is part of their script.
    for (number, fault) in stage.faults.iter().enumerate() {
        for (step, on_failure) in hooks() {
            match fault.way {
                Way::Stray => asked.push(stage.stray(number, step, on_failure)),
                Way::HangsUp => check_abandoned(&stage.gateway, &stage.hang_up(number, step, on_failure)),
                _ => {}
            }
        }
    }
    held.into_iter().for_each(super::support::client::Connection::hang_up);
    println!("{} ways to fail, {} hooks", stage.faults.len(), asked.len());

    for asked in &asked {
        counts.add(asked, check(&stage.gateway, asked));
    }
    counts.check(&stage.gateway);
    let said = stage.gateway.stderr_text();
    for (number, fault) in stage.faults.iter().enumerate() {
        // Nobody's fault, or told about the call that opened it.
        if matches!(fault.reason, Reason::ClientGone | Reason::CircuitOpen) {
            continue;
        }
        check_diagnostics(&said, &fault.connector(number), fault.reason, fault.detail);
    }
    // Never followed, never repeated: one request each.
    let scripted = asked.iter().filter(|asked| says(&stage, asked)).count();
    assert_eq!(stage.requests() - spent, scripted);
}

/// Whether the API with the scripts was asked.
fn says(stage: &Stage, asked: &Asked) -> bool {
    let number = asked.id.split('.').next().and_then(|number| number.parse::<usize>().ok());
    number.is_some_and(|number| matches!(stage.faults[number].way, Way::Says(_)))
}

#[test]
fn without_a_file_descriptor_every_hook_gets_what_on_failure_says() {
    let stage = Stage::set(|way| matches!(way, Way::Starved));
    let (mut kept, others) = starve(&stage.gateway);
    let asked: Vec<_> = hooks()
        .map(|(step, of)| {
            let id = format!("0.{of}.{step}");
            stage.ask_with(0, step, of, id, "{}", |request| request.send_on(&mut kept))
        })
        .collect();
    others.into_iter().for_each(super::support::client::Connection::hang_up);
    let mut counts = Counts::default();
    for asked in &asked {
        counts.add(asked, check(&stage.gateway, asked));
    }
    let files = format!("/proc/{}/fd", stage.gateway.pid());
    let open = || std::fs::read_dir(&files).expect("a running process has descriptors").count();
    super::support::wait_until("descriptors are back", || open() < FILES / 2);
    counts.check(&stage.gateway);
    let fault = &stage.faults[0];
    check_diagnostics(&stage.gateway.stderr_text(), &fault.connector(0), fault.reason, fault.detail);
}

#[test]
fn a_request_that_never_becomes_a_hook_is_refused_whatever_on_failure_says() {
    let refused: Vec<_> = Reason::all()
        .filter(|reason| faults(*reason).iter().any(|fault| matches!(fault.way, Way::Refused)))
        .collect();
    let small = Small::start(&refused);
    let mut counts = Counts::default();
    for reason in refused {
        let asked = small.ask_all(reason);
        assert_eq!(asked.len(), 9);
        for asked in asked {
            counts.add(&asked, check(&small.gateway, &asked));
        }
    }
    counts.check(&small.gateway);
}

#[test]
fn what_on_failure_has_no_say_about_is_the_same_here_and_in_the_program() {
    for reason in Reason::all() {
        let here = means(reason);
        assert_eq!(here.may == May::NoHook, reason.is_refusal_of_ours(), "{}", reason.as_str());
        assert_eq!((here.status, here.blame), (reason.status(), reason.blame().as_str()));
        for fault in faults(reason) {
            if let Way::Inside(test) = fault.way {
                let tests = include_str!("../../src/gateway/tests.rs");
                assert!(tests.contains(&format!("fn {test}()")), "{test} is gone");
            }
        }
    }
}
