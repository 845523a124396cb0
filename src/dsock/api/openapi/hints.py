"""What to do about each error: shown beside its sentence, at `/docs` and in docs/errors.md."""

from __future__ import annotations

from dsock import errors
from dsock.errors import DsockError

HINTS: dict[type[DsockError], str] = {
    errors.DsockError: "Our fault. Look for the request id in the log, and report it.",
    errors.BadRequest: "Send HTTP/1.1 with one `Host`, and a body that is framed soundly.",
    errors.ErrorMarshallingMessage: "Should not happen below 2 GiB. Look for the request id in "
    "the log, and report it.",
    errors.UserIdRequired: "Say for whom the claim is: `user=`.",
    errors.MissingTarget: "Give one of the three; an empty one counts as absent.",
    errors.InvalidUser: "Percent-encode the name as UTF-8, and shorten it.",
    errors.InvalidSession: "Percent-encode the name as UTF-8, and shorten it.",
    errors.InvalidChannel: "Percent-encode the name as UTF-8; one name has no comma.",
    errors.InvalidConnectionId: "Take an `id` that `/info` has shown.",
    errors.InvalidClaimId: "Leave `id` out, and dSock makes one.",
    errors.InvalidExpiration: "Seconds, not milliseconds; or give `duration`.",
    errors.NegativeExpiration: "Give a time in the future, or `duration`.",
    errors.InvalidDuration: "Give whole seconds, without a unit.",
    errors.NegativeDuration: "Give at least 1.",
    errors.ClaimIdAlreadyUsed: "Use another id, or leave it out.",
    errors.InvalidMessageType: "Send what is no UTF-8 as `type=binary`.",
    errors.ErrorReadingMessage: "Seen in log and metrics only: whoever would read the answer has "
    "left. Look for a time-out between the caller and dSock.",
    errors.InvalidHandshake: "Use a WebSocket client; through a proxy, pass on `Upgrade` and "
    "`Connection`. Beside a credential, offer one more subprotocol.",
    errors.RepeatedCredentials: "Show the claim or JWT in one place only.",
    errors.InvalidAuthorization: "Send the token as `Authorization: Bearer TOKEN`; compare it "
    "with the option `token`.",
    errors.MissingAuthentication: "Add `claim=`, or `jwt=`.",
    errors.JwtNotEnabled: "Set `jwt_secret` on the workers, or use claims.",
    errors.MissingClaim: "Ask for a new claim for each attempt to connect, reconnects too.",
    errors.ExpiredClaim: "Ask for a new claim.",
    errors.ClaimExpirationUnreadable: "Another program has stored this claim: look at its "
    "`claim:` key in Redis.",
    errors.InvalidJwt: "Check `sub`, `exp` or `iat`, the algorithm and the secret; clocks may "
    "differ by 10 s.",
    errors.OriginRefused: "Add the page's origin to `allowed_origins`.",
    errors.NotFound: "Check path and node: a worker alone has no API, an API alone no `/connect`, "
    "and with `internal_port` the public port has no `/ready` and `/metrics`.",
    errors.MethodNotAllowed: "Use a method that the header `Allow` lists.",
    errors.RequestTimeout: "Send headers within 10 s, and a body without a pause of 30 s.",
    errors.MessageTooLarge: "Send less, or raise `max_message_size`.",
    errors.UpgradeRequired: "The credential is good and still unused: connect with a WebSocket.",
    errors.TooManyFailures: "Mend what shows a wrong credential, and wait a minute; the log names "
    "the address. If that is a proxy's, set `trusted_proxies`.",
    errors.TooManyConnectionsOfUser: "The claim is still good: close another connection of the "
    "user, or raise `max_connections_per_user`.",
    errors.HeadersTooLarge: "Send at most 100 headers, and 16 KiB of them and of the URL.",
    errors.NotReady: "Try again soon, at another node. If it stays, look at Redis.",
    errors.ShuttingDown: "Try again, at another node.",
    errors.TooManyConnections: "The claim is still good: try again, at another node. Add workers, "
    "or raise `max_connections`.",
    errors.TooManyConnects: "The claim is still good: try again after a random time of a second "
    "or more.",
    errors.ErrorCheckingClaim: "Look at Redis; the claim may exist. Try again with a new id.",
    errors.ErrorGettingClaim: "Look at Redis; then repeat the call.",
    errors.ErrorGettingConnection: "Look at Redis; then repeat the call. A message may have "
    "arrived already.",
    errors.ErrorGettingUser: "Look at Redis; then repeat the call. A message may have arrived "
    "already.",
    errors.ErrorGettingChannel: "Look at Redis; then repeat the call. A message may have arrived "
    "already.",
    errors.WorkerUnanswered: "Repeat the call. A worker that has died is declared gone after "
    "`worker_lease`, and is no longer waited for.",
}
