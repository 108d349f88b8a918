// Libraries that ask something at their start of which no policy has heard.

import Glibc
import Testing
import Wire

@testable import Supervisor

@Suite(.timeLimit(.minutes(5))) struct LoadingTests {
    private func bench(_ behaviour: String) async throws -> Bench {
        try await Bench {
            $0.timing.restartsToOpenCircuit = 1000
            do {
                try Bench.makeBundle(in: $0.driverFolders[0], id: "asking", behaviour: behaviour, of: "hostile-driver", deviceClass: 0x03)
            } catch {
                Issue.record(error)
            }
        }
    }

    private func ask(_ bench: Bench, _ name: String) async throws -> Int? {
        let process = try #require(try await bench.status().first).pid
        return try await bench.client().call(
            "io.userdriver.camera.GetControl",
            ["device": "1234:5678:S1", "name": .string(name), "process": .int(Int64(process))])["outcome"]?.intValue
    }

    /// On the next release of the system a library's constructor makes a call that is on no list: it is refused, and the driver runs.
    @Test func whatALibraryAsksWhileItLoadsIsRefusedAndEndsNothing() async throws {
        let bench = try await bench("asks-while-loading")
        let listener = try await bench.listener()
        bench.source.plug(makeDevice(interfaceClass: 0x03))
        _ = try await listener.event("running")
        #expect(try await ask(bench, "answers_while_loading") == 1, "every call failed with ENOSYS")
        #expect(try await bench.status().first?.restarts == 0)
        // Its own code runs now: the same call ends it.
        do {
            #expect(try await ask(bench, "unknown_call") == nil, "its successor is asked again, and leaves it")
        } catch let error as CallError {
            #expect(error.code == "io.userdriver.DriverRestarted")
        }
        let message = try await listener.event("died", "backoff")["message"]?.stringValue ?? ""
        #expect(message.contains("forbidden call: system call 1999."), "\(message)")
        await bench.stop()
    }

    @Test func whoAsksWithoutEndIsEnded() async throws {
        let bench = try await bench("asks-without-end")
        let listener = try await bench.listener()
        bench.source.plug(makeDevice(interfaceClass: 0x03))
        let message = try await listener.event("died", "backoff")["message"]?.stringValue ?? ""
        #expect(message.contains("forbidden call: "), "\(message)")
        await bench.stop()
    }
}
