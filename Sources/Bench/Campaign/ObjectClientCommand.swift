// The client of an objects campaign: takes a job's objects one after the other, writes down what it
// got, and may be killed at any moment.

import ArgumentParser
import CLinux
import Glibc
import ObjectPattern
import UserDriverClient
import Wire

/// `campaign object-client`
struct ObjectClientCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "object-client", abstract: "Collects a job's objects; started by `campaign objects`.", shouldDisplay: false)

    @Argument var runtime: String
    @Option var job: String
    @Option var seed: UInt64
    @Option var count: Int
    @Option var largest: Int
    @Option var log: String

    func run() async throws {
        let client = UserDriverClient(runtimeDirectory: RuntimeDirectory(runtime))
        let plan = ObjectJobPlan(token: job, seed: seed, count: count, largest: largest)
        var done = Set(plan.results(in: runtime).map(\.id))
        let file = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
        guard file >= 0 else { throw ExitCode(1) }
        while done.count < count {
            do throws(ClientError) {
                try await collect(client, &done, file)
            } catch {
                // The daemon or the driver is on its way, or was killed just now.
                guard error.isTransient || [.timedOut, .busy, .noSuchJob].contains(error.code) else { throw error }
                try await Task.sleep(for: .milliseconds(10))
            }
        }
        while true {
            do throws(ClientError) {
                return try await DeviceJobEnd.discard(job, client)
            } catch {
                // The same.
                guard error.isTransient || error.code == .timedOut else { throw error }
                try await Task.sleep(for: .milliseconds(10))
            }
        }
    }

    private func collect(_ client: UserDriverClient, _ done: inout Set<UInt64>, _ file: Int32) async throws(ClientError) {
        let job = try await client.openJob(token: self.job)
        ask()
        while done.count < count {
            let next: ObjectStatus
            do throws(ClientError) {
                next = try await job.next(timeout: .milliseconds(300))
            } catch {
                guard error.code == .timedOut else { throw error }
                // A driver that was started anew has forgotten what it was asked for.
                ask()
                continue
            }
            if !done.contains(next.id) {
                let verdict = try await judge(next, job)
                // In one piece, and before it is acknowledged: whoever follows knows of it.
                let line = Array("\(next.id) \(next.index) \(verdict)\n".utf8)
                guard write(file, line, line.count) == line.count else { _exit(1) }
                done.insert(next.id)
            }
            try await job.acknowledge(next.id)
        }
    }

    private func judge(_ object: ObjectStatus, _ job: DeviceJob) async throws(ClientError) -> String {
        guard object.state == .committed else { return "abandoned" }
        let size = ObjectPattern.size(seed, object.index, largest: largest)
        do throws(ClientError) {
            let bytes = try await job.open(object.id).bytes()
            return bytes == ObjectPattern.bytes(seed, object.index, count: size) ? "right" : "altered"
        } catch {
            if error.code == .altered { return "altered" }
            throw error
        }
    }

    /// Has the driver deliver what is missing. Whatever comes of it shows in what comes.
    private func ask() {
        let socket: VarlinkSocket
        do throws(WireError) {
            socket = try VarlinkSocket.connect(path: runtime + "/io.userdriver")
            try socket.send(
                VarlinkCall(
                    method: "io.userdriver.camera.GetControl",
                    parameters: [
                        "name": "deliver", "job": .string(job), "seed": .int(Int64(clamping: seed)), "count": .int(Int64(count)),
                        "largest": .int(Int64(largest)),
                    ]))
            var entry = pollfd(fd: socket.descriptor, events: Int16(POLLIN), revents: 0)
            poll(&entry, 1, 300)
        } catch {
            return
        }
    }
}

private enum DeviceJobEnd {
    /// Nothing is left to acknowledge, or is acknowledged by this.
    static func discard(_ token: String, _ client: UserDriverClient) async throws(ClientError) {
        do throws(ClientError) {
            try await client.openJob(token: token).discard()
        } catch {
            guard error.code == .noSuchJob else { throw error }
        }
    }
}
