// What the page asks of devices: state, formats, controls, crashes.

import Glibc
import HTTPServer
import UserDriverClient
import Wire

struct DeviceCalls: Sendable {
    let client: UserDriverClient
    let isDemonstration: Bool

    struct Status: Encodable {
        var devices: [DeviceStatus]
        /// Whether drivers may be killed from the page.
        var demonstration: Bool
    }

    static func device(of request: Request) throws -> String {
        guard let device = request.query["device"], !device.isEmpty else { throw WebError("device is missing.") }
        return device
    }

    private func word(_ name: String, of request: Request) throws -> String {
        guard let word = request.query[name], !word.isEmpty else { throw WebError("\(name) is missing.") }
        return word
    }

    func status() async -> Answer {
        do {
            return Answer.json(Status(devices: try await client.devices(), demonstration: isDemonstration))
        } catch { return Answer.failure(error) }
    }

    func formats(_ request: Request) async -> Answer {
        do { return Answer.json(try await client.camera(Self.device(of: request)).formats()) } catch { return Answer.failure(error) }
    }

    func controls(_ request: Request) async -> Answer {
        do { return Answer.json(try await client.camera(Self.device(of: request)).controls()) } catch { return Answer.failure(error) }
    }

    func setControl(_ request: Request) async -> Answer {
        do {
            let (device, name) = (try Self.device(of: request), try word("name", of: request))
            guard let value = Int(try word("value", of: request)) else { throw WebError("value must be a whole number.") }
            return Answer.json(try await client.camera(device).setControl(name, to: value))
        } catch { return Answer.failure(error) }
    }

    func resetControls(_ request: Request) async -> Answer {
        do {
            let name = request.query["name"]
            return Answer.json(try await client.camera(Self.device(of: request)).resetControls(name))
        } catch { return Answer.failure(error) }
    }

    func crashes(_ request: Request) async -> Answer {
        do { return Answer.json(try await client.crashes(Self.device(of: request)).suffix(20)) } catch { return Answer.failure(error) }
    }

    func restart(_ request: Request) async -> Answer {
        do {
            try await client.restart(Self.device(of: request))
            return Answer.text(200, "Restarted.")
        } catch { return Answer.failure(error) }
    }

    /// SIGKILL to the device's driver, to show that nothing happens.
    func kill(_ request: Request) async -> Answer {
        do {
            let device = try await client.device(Self.device(of: request))
            guard device.pid > 0 else { throw WebError("Its driver is not running.") }
            guard Glibc.kill(device.pid, SIGKILL) == 0 else {
                throw WebError("The driver can't be killed: \(String(cString: strerror(errno))).")
            }
            return Answer.text(200, "Killed process \(device.pid).")
        } catch { return Answer.failure(error) }
    }
}
