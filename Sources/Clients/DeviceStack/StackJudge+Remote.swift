// The layers of a device on another machine: the server, and the connection to it.

import Wire

extension StackJudge {
    static func remoteLayers(_ server: RemoteServer, _ facts: DeviceFacts) -> [StackLayer] {
        [serverLayer(server), connection(server, facts)]
    }

    static func serverLayer(_ server: RemoteServer) -> StackLayer {
        let facts: [String: JSONValue] = ["address": .string(server.authority), "busID": .string(server.busID)]
        switch server.reach {
        case .proven, .offers: return StackLayer(.server, .ok, "\(server.authority) offers \(server.busID)", facts: facts)
        case .withholds(let others):
            let offer = others.isEmpty ? "nothing" : others.joined(separator: ", ")
            return StackLayer(
                .server, .broken, server.authority, facts: facts,
                why:
                    "The server answers but does not offer \(server.busID) (it offers \(offer)): it is unplugged, not bound, or in use by someone else.",
                remedy: "usbip bind -b \(quoted(server.busID))   (on the server)")
        case .unreachable(let why):
            return StackLayer(
                .server, .broken, server.authority, facts: facts, why: "The server can't be reached: \(why).",
                remedy: "usbipd -D   (on the server; or userdriver emulate webcam)")
        }
    }

    private static func connection(_ server: RemoteServer, _ facts: DeviceFacts) -> StackLayer {
        guard let status = facts.diagnosis?.status else {
            return StackLayer(.connection, .unknown, "", why: "No device has been imported yet.")
        }
        switch status.state {
        case .running, .starting: return StackLayer(.connection, .ok, "imported")
        case .absent:
            return StackLayer(
                .connection, .unknown, "", why: status.reason ?? "The device is not imported; the daemon keeps looking for it.")
        case .backoff, .failed, .unsupported, .kernel:
            guard let fault = facts.fault(of: .connection) else {
                return StackLayer(.connection, .ok, "imported before")
            }
            return StackLayer(
                .connection, .broken, "refused", why: fault.message,
                remedy: "userdriver detach \(quoted(status.bus))   (on the machine that has imported it)")
        }
    }
}
