// The host on whatever machine runs the tests: it starts, lists, watches and ends.
import CLibUSB
import Glibc
import Testing
import USB

@testable import LibUSBHost

/// libusb before 1.0.27 gives up finding devices for a whole process once one without discovery was made: these tests make their hosts first.
private let firstHost = Result { () throws(USBError) in try LibUSBHost() }

/// A machine without a USB subsystem, such as a container.
private let hasUSB = access("/sys/bus/usb", F_OK) == 0

@Suite struct HostTests {
    @Test func itStartsOnAnyMachine() async throws {
        let host = try firstHost.get()
        let devices = try await host.devices()
        if !hasUSB { #expect(devices.isEmpty) }
        #expect(devices.allSatisfy { $0.path.contains("-") && $0.descriptors.count >= 18 })
    }

    @Test func aPortWithoutADeviceIsNotFound() async throws {
        let host = try firstHost.get()
        await #expect { _ = try await host.open(path: "99-9.9") } throws: { ($0 as? USBError)?.code == .notFound }
    }

    @Test func hotplugEventsBeginWithWhatIsThereAndEndWithTheHost() async throws {
        _ = try firstHost.get()
        let host = try LibUSBHost()
        let there = try await host.devices()
        let events = try host.hotplugEvents()
        let more = try host.hotplugEvents()
        host.close()
        host.close()
        var arrived: [String] = []
        for await event in events { if case .arrived(let information) = event { arrived.append(information.path) } }
        #expect(Set(arrived) == Set(there.map(\.path)))
        for await event in more { #expect(there.contains { event == .arrived($0) }) }
        await #expect { _ = try await host.devices() } throws: { ($0 as? USBError)?.code == .noDevice }
        #expect { _ = try host.hotplugEvents() } throws: { ($0 as? USBError)?.code == .noDevice }
    }

    @Test func hostsComeAndGoTogether() async throws {
        _ = try firstHost.get()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<16 {
                group.addTask {
                    let host = try LibUSBHost()
                    _ = try host.hotplugEvents()
                    _ = try await host.devices()
                }
            }
            try await group.waitForAll()
        }
    }

    @Test func descriptorsThatAreNoDeviceAreRefusedAndStayTheCallers() throws {
        _ = try firstHost.get()
        try refuseDescriptorsThatAreNoDevice()
    }

    @Test func wrappingNeedsNoDiscovery() async {
        // In a process of its own: there it is the first thing that libusb is asked for. A later version finds devices all the same.
        await #expect(processExitsWith: .success) {
            try refuseDescriptorsThatAreNoDevice()
            let findsNone = clibusb_discovery_is_per_process() != 0
            do {
                _ = try LibUSBHost()
                exit(findsNone ? 1 : 0)
            } catch let error as USBError {
                exit(findsNone && error.code == .notSupported ? 0 : 2)
            }
        }
    }
}

private func refuseDescriptorsThatAreNoDevice() throws {
    var pair: [Int32] = [-1, -1]
    try #require(socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &pair) == 0)
    let file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC)
    let null = open("/dev/null", O_RDWR | O_CLOEXEC)
    for descriptor in [pair[0], pair[1], file, null] {
        try #require(descriptor >= 0)
        #expect { _ = try LibUSBDevice(wrapping: descriptor, information: nothingKnown) } throws: { thrown in
            guard let error = thrown as? USBError else { return false }
            return error.operation == "libusb_wrap_sys_device(\(descriptor))" && error.code != .noDevice
        }
        #expect(fcntl(descriptor, F_GETFD) >= 0, "it stays the caller's")
        close(descriptor)
    }
    // A number that is not an open descriptor.
    #expect { _ = try LibUSBDevice(wrapping: 9999, information: nothingKnown) } throws: { ($0 as? USBError)?.code == .invalidArgument }
    #expect { _ = try LibUSBDevice(wrapping: -1, information: nothingKnown) } throws: { $0 is USBError }
}

private let nothingKnown = USBDeviceInformation(path: "nowhere", speed: .unknown, descriptors: [])
