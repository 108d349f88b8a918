// A device that umockdev pretends: what sysfs and udev tell of it, on a machine without USB.
// umockdev answers one URB at a time from a script and returns no data of control transfers; transfers are proven in Tests/vm.
import Glibc
import Testing

/// A program that cannot be asked for in this process: umockdev replaces the C library's file functions in the one it starts.
private let umockdev = ["/usr/bin/umockdev-run", "/usr/local/bin/umockdev-run"].first { (path: String) in access(path, X_OK) == 0 }

@Suite(.enabled(if: umockdev != nil, "umockdev-run (package umockdev) is not installed"))
struct MockedDeviceTests {
    @Test func itIsListedWithWhatSysfsTells() throws {
        let output = try run("list")
        #expect(
            output == """
                1-1 bus 1 device 2 1209:1 high speed, 480 Mbit/s, 43 bytes of descriptors, Mock Ltd. / Mocked / 0042

                """)
    }

    @Test func itArrivesAtWhoWatches() throws {
        let output = try run("watch 1")
        #expect(output.contains("arrived 1-1 "))
    }

    @Test func aNodeThatIsNoDeviceIsNotOpened() throws {
        // umockdev's node is an ordinary file as long as no script answers for it.
        let output = try run("describe 1-1")
        #expect(output.contains("libusb_wrap_sys_device("))
    }

    private func run(_ arguments: String) throws -> String {
        let umockdev = try #require(umockdev)
        var folder = [CChar](repeating: 0, count: Int(PATH_MAX))
        let count = readlink("/proc/self/exe", &folder, folder.count)
        let test = String(decoding: folder.prefix(max(0, count)).map { UInt8(bitPattern: $0) }, as: UTF8.self)
        let probe = test[..<(test.lastIndex(of: "/") ?? test.startIndex)] + "/usb-probe"
        try #require(access(String(probe), X_OK) == 0, "usb-probe is built beside the tests")

        var path = Array("/tmp/usb-probe.XXXXXX".utf8CString)
        let file = mkstemp(&path)
        try #require(file >= 0)
        defer { close(file) }
        let name = String(decoding: path.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        defer { unlink(name) }
        try #require(write(file, Self.device, Self.device.utf8.count) == Self.device.utf8.count)

        let pipe = try #require(popen("timeout 60 \(umockdev) -d \(name) -- '\(probe)' \(arguments)", "r"))
        var output: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 4096)
        while true {
            let count = fread(&chunk, 1, chunk.count, pipe)
            if count == 0 { break }
            output += chunk.prefix(count)
        }
        pclose(pipe)
        return String(decoding: output, as: UTF8.self)
    }

    private static let descriptors =
        "120100020000004009120100000101020301"  // device: USB 2.0, 1209:0001, strings 1, 2, 3, one configuration
        + "090219000101008032"  // configuration 1: 25 bytes, one interface, bus-powered, 100 mA
        + "0904000001FF000000"  // interface 0, vendor-specific, one endpoint
        + "07058103080001"  // endpoint 1 IN, interrupt, 8 bytes, each millisecond

    private static let device = """
        P: /devices/pci0000:00/0000:00:14.0/usb1/1-1
        N: bus/usb/001/002=\(descriptors)
        E: BUSNUM=001
        E: DEVNUM=002
        E: DEVNAME=/dev/bus/usb/001/002
        E: DEVTYPE=usb_device
        E: SUBSYSTEM=usb
        A: busnum=1\\n
        A: devnum=2\\n
        A: speed=480\\n
        A: bConfigurationValue=1\\n
        A: manufacturer=Mock Ltd.\\n
        A: product=Mocked\\n
        A: serial=0042\\n
        H: descriptors=\(descriptors)


        """
}
