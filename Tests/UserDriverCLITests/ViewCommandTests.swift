// Which camera `view` shows, and what it makes of the page's link.

import Testing
import UserDriverClient
import Wire

@testable import UserDriverCLI

@Suite struct ViewCommandTests {
    private func device(_ id: String, _ kind: String, _ state: DeviceStatus.State = .running) -> DeviceStatus {
        DeviceStatus(
            id: id, bus: "1-1", vendorId: "1209", productId: "0001", name: id, kind: kind, driver: "", state: state, pid: 0, restarts: 0,
            streams: [])
    }

    private func code(_ devices: [DeviceStatus], _ selector: String? = nil) -> ClientError.Code? {
        do { _ = try ChosenCamera.device(among: devices, selector: selector) } catch { return (error as? ClientError)?.code }
        return nil
    }

    @Test func withoutANameItIsTheOnlyCameraThatIsThere() throws {
        let devices = [device("a", "webcam", .absent), device("b", "scanner"), device("c", "webcam")]
        #expect(try ChosenCamera.device(among: devices, selector: nil).id == "c")
        #expect(code([device("b", "scanner")]) == .noSuchDevice && code([]) == .noSuchDevice)
        #expect(code([device("a", "webcam"), device("c", "webcam")]) == .ambiguousDevice)
    }

    @Test func aNameThatIsNoCameraSaysWhatItIs() throws {
        #expect(try ChosenCamera.device(among: [device("a", "webcam", .absent)], selector: "a").id == "a", "the page says that it is away")
        #expect(code([], "x") == .noSuchDevice)
        for (kind, words) in [("scanner", "is a scanner"), ("thermometer", "is not a camera"), ("", "is not a camera")] {
            do {
                _ = try ChosenCamera.device(among: [device("b", kind)], selector: "b")
                Issue.record("a \(kind) was shown")
            } catch let error as CommandFailure {
                #expect(error.description.contains(words) && error.status == ExitStatus.failed)
            }
        }
    }

    @Test func aLinkLeadsToTheDevice() throws {
        let link = "http://127.0.0.1:8720/?token=0123456789abcdef"
        #expect(PageAddress(link, device: "1209:0001:EMU0001/2")?.link == link + "#1209:0001:EMU0001%2F2")
        #expect(PageAddress(link, device: "ä b#\n\"")?.link == link + "#%C3%A4%20b%23%0A%22")
        #expect(PageAddress("http://[::1]:1/?token=00", device: "a") != nil)
        for text in [
            "", "http://127.0.0.1/?token=00", link + "x", "http://a.example:1/?token=00", "http://127.0.0.1:99999/?token=00", link + "\n",
        ] {
            #expect(PageAddress(text, device: "a") == nil, "\(text)")
        }
    }
}
