//! Every order of a few events, none left out.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use futures_util::{StreamExt, TryStreamExt, stream};

use crate::{history::Change, play::History, stage::Stage};

/// One thing that arrives: an event by number, or a user who opens a page when so many of the
/// changes have been made.
#[derive(Clone, Copy, Debug)]
enum Arrival {
    Event(usize),
    Page { user: usize, changes: usize },
}

/// A plot: what happens in Clerk, and how many may open a page.
struct Plot {
    name: &'static str,
    changes: &'static [Change],
    /// For each event, how many of the changes have been made when it is sent.
    events: &'static [usize],
    visitors: usize,
}

const PLOTS: [Plot; 3] = [
    Plot {
        name: "created, updated, updated in the same millisecond, deleted",
        changes: &[Change::SignUp, Change::RenameTwice(0), Change::Delete(0)],
        events: &[1, 2, 2, 3],
        visitors: 1,
    },
    Plot {
        name: "created, updated, updated in the same millisecond",
        changes: &[Change::SignUp, Change::RenameTwice(0)],
        events: &[1, 2, 2],
        visitors: 1,
    },
    Plot {
        name: "two users, and an e-mail address handed from one to the other",
        changes: &[
            Change::SignUp,
            Change::SignUp,
            Change::HandOver { from: 0, to: 1 },
        ],
        events: &[1, 2, 3, 3],
        visitors: 2,
    },
];

/// Plays every order in which the events of each plot can arrive, with one page load at every
/// place, which reads any of the versions that Clerk can have had by then; and returns how many there
/// were by plot. With `duplicates` each event of a plot about one user arrives twice.
pub async fn run(stage: &Stage, duplicates: bool) -> Result<BTreeMap<&'static str, usize>> {
    let mut tried = BTreeMap::new();
    for plot in &PLOTS {
        let copies = if duplicates && plot.visitors == 1 {
            2
        } else {
            1
        };
        let orders = plot.orders(copies);
        let plays = orders.iter().map(|order| async move {
            let told = || format!("{}, in the order {order:?}", plot.name);
            plot.play(stage, order).await.with_context(told)
        });
        stream::iter(plays)
            .buffer_unordered(32)
            .try_collect::<Vec<()>>()
            .await?;
        tried.insert(plot.name, orders.len());
    }
    stage.finish().await?;
    Ok(tried)
}

impl Plot {
    fn orders(&self, copies: usize) -> Vec<Vec<Arrival>> {
        let mut events: Vec<_> = (0..self.events.len())
            .flat_map(|event| vec![event; copies])
            .collect();
        let mut orders = Vec::new();
        loop {
            for user in 0..self.visitors {
                for place in 0..=events.len() {
                    for changes in self.made(user, &events[..place])..=self.changes.len() {
                        let mut order: Vec<_> =
                            events.iter().copied().map(Arrival::Event).collect();
                        order.insert(place, Arrival::Page { user, changes });
                        orders.push(order);
                    }
                }
            }
            if !next_permutation(&mut events) {
                return orders;
            }
        }
    }

    /// How many of the changes must have been made when the user opens a page after these events.
    /// Users sign up one after the other.
    fn made(&self, user: usize, events: &[usize]) -> usize {
        let made = events.iter().map(|event| self.events[*event]).max();
        made.unwrap_or_default().max(user + 1)
    }

    async fn play(&self, stage: &Stage, order: &[Arrival]) -> Result<()> {
        let mut history = History::new(stage);
        let mut changes = self.changes.iter();
        for arrival in order {
            let needed = match *arrival {
                Arrival::Event(event) => self.events[event],
                Arrival::Page { changes, .. } => changes,
            };
            let made = self.changes.len() - changes.len();
            for change in changes.by_ref().take(needed.saturating_sub(made)) {
                history.change(change)?;
            }
            match *arrival {
                Arrival::Event(event) => history.deliver(event).await?,
                Arrival::Page { user, .. } => history.load_page(user).await?,
            }
            history.check().await?;
        }
        // Two versions of one millisecond leave a doubt, which makes the next page load ask Clerk.
        for user in 0..history.users.len() {
            if history.users[user].is_ambiguous() && !history.users[user].is_deleted {
                history.load_page(user).await?;
            }
        }
        history.check().await?;
        history.is_as_in_clerk().await
    }
}

/// The next order of these, the sorted one being the first; false after the last.
fn next_permutation<T: Ord>(items: &mut [T]) -> bool {
    let Some(descent) = items.windows(2).rposition(|pair| pair[0] < pair[1]) else {
        return false;
    };
    let larger = items.iter().rposition(|item| *item > items[descent]);
    items.swap(descent, larger.unwrap_or(descent));
    items[descent + 1..].reverse();
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_order_of_equal_and_other_items_comes_once() {
        let mut items = [1, 1, 2, 2];
        let mut orders = vec![items];
        while next_permutation(&mut items) {
            orders.push(items);
        }
        assert_eq!(
            orders,
            [
                [1, 1, 2, 2],
                [1, 2, 1, 2],
                [1, 2, 2, 1],
                [2, 1, 1, 2],
                [2, 1, 2, 1],
                [2, 2, 1, 1],
            ]
        );
    }
}
