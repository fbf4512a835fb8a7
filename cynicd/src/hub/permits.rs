//! What a client may ask, by its roles. Refusals are answered, counted, logged and published.

use std::time::Instant;

use cynic_proto::access::{Role, Takes};
use cynic_proto::event::Happening;
use cynic_proto::message::{RefusalKind, Reply, Request};

use super::Hub;
use super::clients::refused;
use super::records::Records;
use crate::gateway::Peer;
use crate::pool::ClientId;

impl Hub {
    /// Whether a client may ask that, and about whose records.
    pub(super) fn permit(&mut self, client: ClientId, request: &Request) -> Result<Records, Reply> {
        let Some(entry) = self.clients.get(&client) else { return Ok(Records::All) };
        let peer = entry.peer;
        let lacking = match request.takes() {
            Takes::Any => return Ok(Records::All),
            Takes::Role(role) | Takes::OwnOr(role) if peer.roles.has(role) => {
                return Ok(Records::All);
            }
            Takes::OwnOr(_) if peer.roles.has(Role::Judge) && !is_of_another(request, peer.uid) => {
                return Ok(Records::Of(peer.uid));
            }
            Takes::Role(role) | Takes::OwnOr(role) => role,
        };
        self.seats.refused();
        let Peer { uid, pid, .. } = peer;
        // Who goes on asking floods neither the log nor the events.
        if self.seats.tells(uid, Instant::now()) {
            let (request, role) = (request.name(), lacking.name());
            tracing::warn!(uid, pid, request, role, "refused: the client lacks the role");
            self.publish(Happening::AccessRefused { uid, pid, request: request.to_owned() });
        }
        Err(refused(RefusalKind::NotPermitted, &self.explain(request, lacking, uid)))
    }

    /// Which role is lacking, and who gives it.
    fn explain(&self, request: &Request, role: Role, uid: u32) -> String {
        let name = request.name();
        let (of_another, own) = if is_of_another(request, uid) {
            (" of another user", "; without --uid it lists your own")
        } else {
            ("", "")
        };
        match role {
            Role::Admin => format!(
                "`{name}` takes role `admin`, which is given at {} only: to root, to the daemon's own user, and \
                 to those under `access.admin` in its configuration",
                self.options.admin_socket.display()
            ),
            Role::Judge | Role::Read => format!(
                "`{name}`{of_another} takes role `{role}`, which user {uid} has not: an administrator can add \
                 it, or a group of it, to `access.{role}` in the daemon's configuration{own}"
            ),
        }
    }
}

/// Whether somebody else's records are asked for by name.
fn is_of_another(request: &Request, uid: u32) -> bool {
    matches!(request, Request::History(query) if query.client_uid.is_some_and(|of| of != uid))
}
