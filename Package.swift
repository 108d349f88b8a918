// swift-tools-version: 6.2
// UserDriver: real USB peripherals driven outside the Linux kernel. Targets stand bottom to top, as in Docs/Architecture.md.
import PackageDescription

let swiftSettings: [SwiftSetting] = [
    .treatAllWarnings(as: .error),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
]

let log: Target.Dependency = .product(name: "Logging", package: "swift-log")
let arguments: Target.Dependency = .product(name: "ArgumentParser", package: "swift-argument-parser")
let signals: Target.Dependency = .product(name: "UnixSignals", package: "swift-service-lifecycle")

/// Modules of a layer lie in its folder: Sources/LAYER/MODULE.
func layer(_ name: String, _ targets: [Target]) -> [Target] {
    for target in targets { target.path = "Sources/\(name)/\(target.path ?? target.name)" }
    return targets
}

func library(_ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
    .target(name: name, dependencies: dependencies, swiftSettings: swiftSettings)
}

func executable(
    _ name: String, _ dependencies: [Target.Dependency], path: String? = nil, exclude: [String] = []
) -> Target {
    .executableTarget(name: name, dependencies: dependencies, path: path, exclude: exclude, swiftSettings: swiftSettings)
}

/// A C library of the system's.
func systemLibrary(_ name: String, _ pkgConfig: String, _ package: String) -> Target {
    .systemLibrary(name: name, pkgConfig: pkgConfig, providers: [.apt([package])])
}

func tests(
    _ name: String, _ dependencies: [Target.Dependency] = [], exclude: [String] = [], resources: [Resource] = []
) -> Target {
    .testTarget(
        name: name + "Tests", dependencies: [.target(name: name)] + dependencies, exclude: exclude, resources: resources,
        swiftSettings: swiftSettings)
}

// The door to the kernel and to C libraries, and what processes share: threads, messages, children.
let system: [Target] = layer(
    "System",
    [
        .target(name: "CLinux"),
        .target(name: "CDigest"),
        systemLibrary("CLibUSB", "libusb-1.0", "libusb-1.0-0-dev"),
        systemLibrary("CTurboJPEG", "libturbojpeg", "libturbojpeg0-dev"),
        systemLibrary("CPNG", "libpng", "libpng-dev"),
        systemLibrary("CSeccomp", "libseccomp", "libseccomp-dev"),
        systemLibrary("CLibCrypto", "libcrypto", "libssl-dev"),
        systemLibrary("CYAML", "yaml-0.1", "libyaml-dev"),
        // Linked in: a process in a sandbox loads no library that not all of them need.
        .systemLibrary(name: "CZlib", providers: [.apt(["zlib1g-dev"])]),
        .systemLibrary(name: "CExpat", providers: [.apt(["libexpat1-dev"])]),
        systemLibrary("CMicroHTTPD", "libmicrohttpd", "libmicrohttpd-dev"),
        library("FileDescriptors", ["CLinux"]),
        library("Threads", ["CLinux"]),
        library("Wire", ["FileDescriptors", "Threads", "CLinux"]),
        library("Sandbox", ["FileDescriptors", "CLinux", "CSeccomp"]),
        library("Spawn", ["Sandbox", "FileDescriptors", "CLinux"]),
        library("Pictures", ["FileDescriptors", "CTurboJPEG", "CPNG", "CZlib"]),
    ])

// PipeWire. SwiftPM takes its .pc file for unsafe, and where it is not installed there is none. So the Makefile says where its headers are, and
// without that word what is made of it says that it was built without PipeWire.
let pipewireFlags = Context.environment["USERDRIVER_PIPEWIRE"].map { $0.split(separator: " ").map(String.init) }
let pipewire: [Target] = layer(
    "System",
    [
        .target(
            name: "CPipeWire", cSettings: pipewireFlags.map { [.unsafeFlags($0)] },
            linkerSettings: pipewireFlags.map { _ in [.linkedLibrary("pipewire-0.3")] })
    ])

// Data that survives processes.
let planes: [Target] = layer(
    "Planes", [library("FrameRing", ["FileDescriptors", "CLinux"]), library("ObjectStore", ["FileDescriptors", "CDigest", "CLinux"])])

// Transfers: of this machine, over the network, in software.
let usb: [Target] = layer(
    "USB",
    [
        library("USB"),
        library("TransferRing", ["USB", "FileDescriptors", "Threads", "CLinux"]),
        library("FlightRecorder", ["USB", "FileDescriptors", "CLinux"]),
        library("USBFS", ["USB", "TransferRing", "FileDescriptors", "Threads", "CLinux"]),
        library("LibUSBHost", ["USBFS", "USB", "CLibUSB", "FileDescriptors", "Threads", "CLinux"]),
        library("USBIP", ["USB"]),
        library("USBIPHost", ["USB", "USBIP", "TransferRing", "FileDescriptors", "Threads", "CLinux", "Wire"]),
        executable("usbip-proxy", ["USBIPHost"]),
        library("USBEmulation", ["USB", "USBIP", "FileDescriptors", "Threads", "CLinux"]),
    ])

// Published USB classes: bytes in, values out.
let classes: [Target] = layer(
    "Classes", [library("UVC", ["USB"]), library("IPPUSB", ["USB", "CZlib"]), library("ESCL", ["CExpat"])])

// What driver and client of a class say to each other: the Varlink text that the bundle ships, and
// its types.
let contracts: [Target] = layer(
    "Contracts",
    [
        .target(
            name: "CameraInterface", dependencies: ["Wire"], resources: [.embedInCode("io.userdriver.camera.varlink")],
            swiftSettings: swiftSettings),
        .target(
            name: "ScannerInterface", dependencies: ["Wire"],
            resources: [.embedInCode("io.userdriver.scanner.varlink"), .embedInCode("io.userdriver.printer.varlink")],
            swiftSettings: swiftSettings),
    ])

// What a driver author imports, and drivers.
let framework: [Target] = layer(
    "Framework",
    [
        library(
            "UserDriver",
            ["USB", "TransferRing", "FlightRecorder", "USBFS", "USBIPHost", "Wire", "FrameRing", "FileDescriptors", "Threads", "CLinux"]),
        library("DriverObjects", ["UserDriver", "ObjectStore", "Wire", "FileDescriptors"]),
        library("DriverStreams", ["UserDriver", "USB", "TransferRing", "FrameRing", "Wire", "Threads", "CLinux"]),
        library("DriverTesting", ["USBEmulation", "USB", "Wire", "Spawn", "FileDescriptors", "Threads"]),
    ])
let drivers: [Target] = layer(
    "Drivers",
    [
        library(
            "WebcamDriver",
            ["DriverStreams", "UserDriver", "CameraInterface", "UVC", "USB", "TransferRing", "FrameRing", "Wire", "CLinux"]),
        executable("webcam-driver", ["WebcamDriver", "UserDriver"], exclude: ["driver.yaml"]),
        library(
            "ScannerDriver",
            ["DriverObjects", "UserDriver", "ScannerInterface", "ESCL", "IPPUSB", "USB", "TransferRing", "Wire"]),
        executable("scanner-driver", ["ScannerDriver", "UserDriver"], exclude: ["driver.yaml"]),
        // Both of them: what is installed.
        executable("driver-image", ["WebcamDriver", "ScannerDriver", "UserDriver", "USBIPHost", "Wire"]),
    ])

// Drivers on disk: manifests, who vouches for them, how they are installed.
let trust: [Target] = layer(
    "Trust",
    [
        library("Trust", ["CLibCrypto"]),
        library("Bundles", ["Trust", "USB", "Wire", "Spawn", "FileDescriptors", "CLinux", "CYAML"]),
    ])

// Who looks after drivers.
let daemon: [Target] = layer(
    "Daemon",
    [
        library(
            "Supervisor",
            [
                "Bundles", "Trust", "USB", "TransferRing", "FlightRecorder", "USBIP", "LibUSBHost", "USBIPHost", "Wire", "FrameRing",
                "ObjectStore", "Spawn", "Sandbox", "FileDescriptors", "Threads", "CLinux", log,
            ]),
        executable("userdriverd", ["Supervisor", "Bundles", "Wire", "FileDescriptors", "Threads", "CLinux", log, signals, arguments]),
    ])

// For programs, and what people touch.
let clients: [Target] = layer(
    "Clients",
    [
        library(
            "UserDriverClient",
            ["CameraInterface", "Wire", "FrameRing", "ObjectStore", "FlightRecorder", "USB", "FileDescriptors", "Threads", "CLinux"]),
        library("ScannerClient", ["UserDriverClient", "ScannerInterface", "Wire"]),
        library("DeviceStack", ["USB", "UVC", "USBIPHost", "USBIP", "Wire", "FileDescriptors"]),
    ])
let surfaces: [Target] = layer(
    "Surfaces",
    [
        executable(
            "UserDriverCLI",
            [
                "UserDriverClient", "ScannerClient", "Bundles", "Trust", "DeviceStack", "FlightRecorder", "FrameRing", "Wire", "USB", "UVC",
                "Pictures", "EmulatedEcho", "EmulatedScanner", "EmulatedWebcam", "USBEmulation", "VideoNode", "Spawn", "FileDescriptors",
                "Threads",
                "CLinux", arguments,
            ], path: "userdriver"),
        library(
            "VideoNode",
            ["UserDriverClient", "USBEmulation", "USB", "UVC", "Wire", "Spawn", "Sandbox", "FileDescriptors", "Threads", "CLinux"]),
        executable("userdriver-video", ["VideoNode"]),
        library("HTTPServer", ["CMicroHTTPD", "FileDescriptors", "CLinux"]),
        library(
            "ESCLEndpoint",
            ["HTTPServer", "ScannerClient", "UserDriverClient", "ESCL", "IPPUSB", "Wire", "Spawn", "FileDescriptors", "Threads", "CLinux"]),
        executable("userdriver-escl", ["ESCLEndpoint", "UserDriverClient", arguments]),
        .executableTarget(
            name: "userdriver-web",
            dependencies: ["HTTPServer", "ScannerClient", "UserDriverClient", "Pictures", "UVC", "Wire", "FileDescriptors", arguments],
            resources: ["index.html", "page.css", "page.js", "camera.js", "scanner.js"].map { .embedInCode("Page/\($0)") },
            swiftSettings: swiftSettings),
        library("PipeWireNodes", ["UserDriverClient", "Pictures", "Wire", "Threads", "CPipeWire", "CLinux"]),
        executable("userdriver-pipewire", ["PipeWireNodes", "UserDriverClient", arguments]),
        // Preloaded into other people's programs. `make build` links it: SwiftPM links Swift's
        // runtime to every library.
        .target(name: "V4L2Preload"),
    ])

// Devices in software, faults by the thousand, bytes that nobody meant, figures against a yardstick
// in C.
let bench: [Target] = layer(
    "Bench",
    [
        library("EmulatedEcho", ["USBEmulation", "USB"]),
        library("ObjectPattern"),
        library("EmulatedWebcam", ["USBEmulation", "USB", "UVC", "Pictures", "Threads", "CLinux"]),
        library("EmulatedScanner", ["USBEmulation", "USB", "Pictures", "Threads", "CDigest", "CLinux", "CZlib"]),
        executable(
            "campaign",
            [
                "UserDriverClient", "ObjectPattern", "EmulatedScanner", "USBEmulation", "Pictures", "Spawn", "Threads", "Wire", "CLinux",
                arguments,
                signals,
            ], path: "Campaign"),
        executable(
            "fuzz",
            [
                "USB", "UVC", "IPPUSB", "ESCL", "USBIP", "USBEmulation", "EmulatedScanner", "Pictures", "Wire", "FrameRing",
                "FlightRecorder",
                "UserDriverClient", "Trust", "Bundles", "Spawn", "CLinux",
            ], path: "Fuzz"),
        .target(name: "CBenchmarks"),
        executable(
            "benchmarks",
            [
                "WebcamDriver", "DriverStreams", "UserDriver", "UVC", "USB", "TransferRing", "FlightRecorder", "FrameRing", "Spawn",
                "Sandbox", "FileDescriptors", "Threads",
                "CLinux", "CBenchmarks",
            ], path: "Benchmarks"),
    ])

let testTargets: [Target] = [
    tests("FileDescriptors", ["CLinux"]),
    tests("Threads", ["CLinux"]),
    tests("USB"),
    tests("TransferRing", ["USB", "CLinux"]),
    tests("FlightRecorder", ["USB", "FileDescriptors", "CLinux"]),
    tests("UVC", ["USB"]),
    tests("CameraInterface", ["Wire"]),
    tests("ScannerInterface", ["Wire"]),
    tests("IPPUSB", ["USB"]),
    tests("ESCL"),
    tests("DriverStreams", ["UserDriver", "USB", "TransferRing", "FrameRing", "Wire", "FileDescriptors", "Threads", "CLinux"]),
    tests("WebcamDriver", ["CameraInterface", "UVC", "USB", "USBEmulation", "Wire", "EmulatedWebcam"]),
    tests("DriverTesting", ["USBEmulation", "USB"]),
    tests("Pictures", ["CTurboJPEG"]),
    tests("EmulatedWebcam", ["USBEmulation", "USB", "UVC", "Pictures", "Threads"]),
    tests("EmulatedScanner", ["USBEmulation", "USBIPHost", "USB", "Pictures", "Threads", "CLinux"]),
    tests("Spawn", ["Sandbox", "Threads", "CLinux"]),
    // A driver that misbehaves as it is told, for the supervisor's tests.
    executable(
        "test-driver", ["ObjectPattern", "DriverObjects", "UserDriver", "Wire", "FrameRing", "FileDescriptors", "CLinux"],
        path: "Tests/TestDriver"),
    // Somebody else's driver, with an interface of its own.
    executable(
        "thermometer-driver", ["UserDriver", "USB", "Wire"], path: "Tests/Thermometer", exclude: ["driver.yaml", "interfaces"]),
    // One that tries to get out of its sandbox.
    .target(name: "CAttempts", path: "Tests/CAttempts"),
    executable("hostile-driver", ["CAttempts", "Wire", "FileDescriptors", "CLinux"], path: "Tests/HostileDriver"),
    // One that talks with the echo device, over and over, and checks each byte of the answers.
    executable("echo-driver", ["UserDriver", "EmulatedEcho", "TransferRing", "USB", "Wire"], path: "Tests/EchoDriver"),
    tests("Trust"),
    tests("Bundles", ["Trust", "USB", "Wire", "Spawn", "CLinux"]),
    tests(
        "Supervisor",
        [
            "test-driver", "hostile-driver", "thermometer-driver", "echo-driver", "scanner-driver", "userdriverd", "usbip-proxy",
            "campaign",
            "EmulatedEcho", "EmulatedScanner", "ScannerClient",
            "USBEmulation", "Bundles", "CameraInterface", "Sandbox", "USB", "Wire", "FrameRing", "ObjectStore", "ObjectPattern", "Spawn",
            "UserDriverClient", "FileDescriptors", "CLinux", log,
        ]),
    tests("Wire", ["FileDescriptors", "CLinux"]),
    tests("FrameRing", ["FileDescriptors", "Threads", "CLinux"]),
    tests("ObjectStore", ["FileDescriptors", "CLinux"]),
    .target(
        name: "FakeDaemon", dependencies: ["UserDriverClient", "Wire", "FrameRing", "FileDescriptors", "Threads", "CLinux"],
        path: "Tests/FakeDaemon",
        swiftSettings: swiftSettings),
    tests("UserDriverClient", ["FakeDaemon", "Wire", "FrameRing", "FileDescriptors", "CLinux"]),
    tests(
        "UserDriverCLI",
        [
            "FakeDaemon", "UserDriverClient", "DeviceStack", "Wire", "FlightRecorder", "FrameRing", "Pictures", "Spawn", "USB", "UVC",
            "FileDescriptors", "CLinux", arguments,
        ],
        exclude: ["Snapshots"]),
    tests(
        "VideoNode",
        [
            "userdriver-video", "FakeDaemon", "UserDriverClient", "USBEmulation", "USBIPHost", "UVC", "USB", "Wire", "FrameRing",
            "Spawn", "Sandbox", "FileDescriptors", "CLinux",
        ]),
    tests("PipeWireNodes", ["UserDriverClient"]),
    tests("ESCLEndpoint", ["HTTPServer", "ScannerClient", "ScannerInterface", "ESCL", "IPPUSB", "CLinux"]),
    tests("DeviceStack", ["EmulatedWebcam", "USBEmulation", "USB", "USBIPHost", "Wire"]),
    // A driver that means harm, for what the broker and the kernel must refuse it; in the virtual
    // machine.
    .target(name: "CUsbfsAttempts", path: "Tests/CUsbfsAttempts"),
    executable("usbfs-intruder", ["CUsbfsAttempts", "USB", "Wire", "FileDescriptors", "CLinux"], path: "Tests/UsbfsIntruder"),
    executable("usb-probe", ["LibUSBHost", "USBFS", "USB", "FileDescriptors", "CLinux"], path: "Tests/usb-probe"),
    tests("USBFS", ["USB", "FileDescriptors", "Threads", "CLinux"]),
    tests("LibUSBHost", ["usb-probe", "USB", "CLibUSB", "Threads", "CLinux"]),
    tests("USBIP", ["USB"]),
    tests("USBEmulation", ["USB", "USBIP", "CLinux"]),
    // A program that knows V4L2 and nothing of ours, for what `userdriver v4l2` shows it.
    executable("v4l2-client", [], path: "Tests/V4L2Client"),
    .testTarget(
        name: "EndToEndTests", dependencies: ["v4l2-client", "CameraInterface", "UserDriverClient", "Pictures", "Spawn", "Wire", "CLinux"],
        swiftSettings: swiftSettings),
    tests("USBIPHost", ["USB", "USBIP", "TransferRing", "USBEmulation", "FileDescriptors", "CLinux"]),
]

/// What somebody else's driver is built with. With USERDRIVER_FRAMEWORK_ONLY set, as the Makefile
/// of `userdriver driver new` sets it, there is nothing else here, and nothing that had to be
/// fetched.
let isFrameworkOnly = Context.environment["USERDRIVER_FRAMEWORK_ONLY"] != nil
let frameworkTargets: [[Target]] = [system, planes, usb, classes, contracts, framework]
let targets: [[Target]] =
    frameworkTargets + (isFrameworkOnly ? [] : [pipewire, drivers, trust, daemon, clients, surfaces, bench, testTargets])

let frameworkProducts: [Product] = [
    .library(name: "UserDriver", targets: ["UserDriver", "DriverStreams", "DriverObjects", "USB", "UVC", "Wire", "Threads"]),
    .library(name: "USBEmulation", targets: ["USBEmulation", "USB"]),
    .library(name: "DriverTesting", targets: ["DriverTesting", "Wire"]),
]

let package = Package(
    name: "UserDriver",
    products: isFrameworkOnly
        ? frameworkProducts
        : frameworkProducts + [
            .library(name: "UserDriverClient", targets: ["UserDriverClient", "ScannerClient"]),
            .executable(name: "userdriver", targets: ["UserDriverCLI"]),
            .executable(name: "userdriverd", targets: ["userdriverd"]),
            .executable(name: "webcam-driver", targets: ["webcam-driver"]),
            .executable(name: "scanner-driver", targets: ["scanner-driver"]),
            .executable(name: "driver-image", targets: ["driver-image"]),
            .executable(name: "usbip-proxy", targets: ["usbip-proxy"]),
            .executable(name: "userdriver-video", targets: ["userdriver-video"]),
            .executable(name: "userdriver-web", targets: ["userdriver-web"]),
            .executable(name: "userdriver-pipewire", targets: ["userdriver-pipewire"]),
            .executable(name: "userdriver-escl", targets: ["userdriver-escl"]),
        ],
    dependencies: isFrameworkOnly
        ? []
        : [
            .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
            .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
            .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
        ],
    targets: targets.flatMap { $0 }
)
