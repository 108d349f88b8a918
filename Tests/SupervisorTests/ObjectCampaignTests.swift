// The objects campaign, short: true processes, killed with SIGKILL. `campaign objects` is the long
// one.

import Glibc
import Spawn
import Testing

@testable import Supervisor

@Suite("Objects under kills", .timeLimit(.minutes(10))) struct ObjectCampaignTests {
    @Test func noneIsLostDoubledOrAltered() async throws {
        let folder = TemporaryFolder()
        let output = open(folder.path + "/output", O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        defer { close(output) }
        let campaign = Bench.executable("campaign")
        let child = try ChildProcess(
            path: campaign,
            ChildProcess.Plan(
                arguments: [
                    "campaign", "objects", "--objects", "200", "--kills", "40", "--job", "25", "--largest", "200000", "--patience", "240",
                    "--bin",
                    String(campaign.dropLast("/campaign".count)),
                ], descriptors: [nil, output, output]))
        while try child.collect() == nil { try await Task.sleep(for: .milliseconds(20)) }
        let text = String(decoding: try StateFile.read(folder.path + "/output", maximumBytes: 1 << 20), as: UTF8.self)
        print(text)
        #expect(try child.collect() == .exited(status: 0))
        #expect(text.contains("0 lost, 0 doubled, 0 altered, 0 abandoned; 0 left behind"))
    }
}
