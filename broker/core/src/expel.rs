//! A client loses its connection, and if wanted its session, because the operator says so.

use weir_mqtt::ReasonCode;

use crate::clock::Now;
use crate::core::Core;

impl Core {
    /// The client is told "administrative action" if it speaks MQTT 5. Its will is published, as
    /// after any end that it did not ask for [MQTT-3.1.2-8].
    pub(crate) fn handle_expel(&mut self, now: Now, client_id: &str, ends_session: bool) {
        let Some(key) = self.session_of(client_id) else { return };
        if let Some(connection) = self.sessions[key as usize].claimed_by {
            self.disconnect(now, connection, ReasonCode::AdministrativeAction);
        }
        // One that is not kept has ended with its connection.
        if let Some(key) = self.session_of(client_id).filter(|_| ends_session) {
            self.end_session(now, key);
        }
    }
}
