// A page in Chromium plays the camera while its driver is killed.

import Glibc
import Spawn
import Testing
import UserDriverClient
import Wire

extension EndToEndTests {
    @Suite(.serialized, .enabled(if: ChromiumPage.isInstalled, "Chromium is not installed"))
    struct Chromium {
        /// As the page asks for it.
        private static let form = CameraRequest(format: "nv12", width: 640, height: 480, fps: 30)

        /// Kills the driver ten times, each time after twenty more pictures.
        private func killDrivers(of bench: Bench, under page: ChromiumPage) async throws -> ChromiumPage.Account {
            for _ in 0..<10 {
                try await page.waitForPictures(20)
                let driver = try await bench.client.device().pid
                kill(driver, SIGKILL)
                try await bench.waitForDevice { $0.state == .running && $0.pid != driver }
            }
            return try await page.waitForPictures(20)
        }

        /// - Parameter excused: pictures that neither driver nor surface lost.
        private func expectAll(of account: ChromiumPage.Account, excused: UInt64) {
            // USB's numbers stand behind it where Chromium understands how PipeWire writes them.
            #expect(account.label.hasPrefix("UserDriver Emulated Webcam"), "\(account.label)")
            #expect(account.size == "640x480" && account.stamps.count >= 220 && account.spoiled == 0)
            // The track neither ended nor was muted.
            #expect(account.events.isEmpty, "\(account.events)")
            // A browser may be too slow on a busy machine, and says for how many. Deaths that cost one picture each would be seen all the same.
            let (missing, slow) = (account.missing, account.dropped + UInt64(max(0, account.passed)))
            #expect(missing <= excused + slow, "\(missing) are missing: \(excused) excused, Chromium was too slow for \(slow)")
        }

        @Test(
            .timeLimit(.minutes(5)),
            .enabled(if: PipeWirePrograms.isBuilt, "userdriver-pipewire is not built: run make build-pipewire"),
            .enabled(if: PipeWirePrograms.areInstalled, "PipeWire, WirePlumber and GStreamer's plugin are not all installed"),
            .enabled(if: PortalSession.obstacle == nil, "there is no portal: \(PortalSession.obstacle ?? "")"))
        func `a page has the camera through the portal, and its track plays on through ten deaths of the driver`() async throws {
            let bench = try await Bench.start()
            let session = try await PipeWireSession.start(bench)
            let portal = try await PortalSession(in: session)
            let (account, lost) = try await bench.losses(in: Self.form) {
                let page = try ChromiumPage.start(in: session)
                let account = try await killDrivers(of: bench, under: page)
                try await page.stop()
                return account
            }
            try await bench.waitForDevice { $0.streams.allSatisfy { $0.clients == 0 } }
            expectAll(of: account, excused: lost + session.passed)
            // In the portal's words, which change: 1.16's, then 1.20's.
            let question = try #require(portal.questions.first)
            #expect(portal.questions.count == 1)
            #expect(question.hasPrefix("asked: Turn On Camera?") || question.hasPrefix("asked: Allow app to Use the Camera?"))
            #expect(try await bench.client.crashes().count >= 10)
            try await portal.stop()
            try await session.stop()
        }

        @Test(
            .timeLimit(.minutes(5)),
            .enabled(if: PipeWirePrograms.isBuilt, "userdriver-pipewire is not built: run make build-pipewire"),
            .enabled(if: PipeWirePrograms.areInstalled, "PipeWire, WirePlumber and GStreamer's plugin are not all installed"),
            .enabled(if: PortalSession.obstacle == nil, "there is no portal: \(PortalSession.obstacle ?? "")"))
        func `a page has no camera if the person says no, and the camera does not stream`() async throws {
            let bench = try await Bench.start()
            let session = try await PipeWireSession.start(bench)
            let portal = try await PortalSession(in: session, answer: false)
            let page = try ChromiumPage.start(in: session)
            try await portal.waitForQuestion()
            // Chromium 156 leaves a page without an answer, which then asks again.
            let account = try await page.waitForBeginnings(2)
            #expect(account.stamps.isEmpty && account.spoiled == 0 && account.presented == 0)
            let device = try await bench.client.device()
            #expect(device.state == .running && device.streams.allSatisfy { $0.clients == 0 } && device.viewers == nil)
            try await page.stop()
            // A program that does not ask the portal has it all the same.
            let caps = "video/x-raw,format=NV12,width=320,height=240"
            let result = try await session.record(PipeWireSession.raw, caps, count: 10, to: "pictures").finish()
            #expect(result.status == .exited(status: 0) && !result.errors.contains("ERROR"), "\(result.errors)")
            try await portal.stop()
            try await session.stop()
        }

        @Test(.timeLimit(.minutes(5)), .enabled(if: V4L2Programs.libraryIsBuilt, "userdriver-v4l2.so is not built: run make build"))
        func `a page has the camera as /dev/video0 through the library, and its track plays on through ten deaths of the driver`()
            async throws
        {
            let bench = try await Bench.start()
            let (account, lost) = try await bench.losses(in: Self.form) {
                let page = try ChromiumPage.start(preloadedFor: bench)
                let account = try await killDrivers(of: bench, under: page)
                try await page.stop()
                return account
            }
            expectAll(of: account, excused: lost)
            #expect(try await bench.client.crashes().count >= 10)
            try await bench.stop()
        }
    }
}
