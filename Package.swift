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

func library(_ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
    .target(name: name, dependencies: dependencies, swiftSettings: swiftSettings)
}

func executable(
    _ name: String, _ dependencies: [Target.Dependency], path: String? = nil, exclude: [String] = []
) -> Target {
    .executableTarget(name: name, dependencies: dependencies, path: path, exclude: exclude, swiftSettings: swiftSettings)
}

func tests(
    _ name: String, _ dependencies: [Target.Dependency] = [], exclude: [String] = [], resources: [Resource] = []
) -> Target {
    .testTarget(
        name: name + "Tests", dependencies: [.target(name: name)] + dependencies, exclude: exclude, resources: resources,
        swiftSettings: swiftSettings)
}

let package = Package(
    name: "UserDriver",
    products: [
        .library(name: "UserDriver", targets: ["UserDriver", "USB", "UVC", "Threads"]),
        .library(name: "UserDriverClient", targets: ["UserDriverClient"]),
        .library(name: "USBEmulation", targets: ["USBEmulation"]),
        .executable(name: "userdriver", targets: ["UserDriverCLI"]),
        .executable(name: "userdriverd", targets: ["userdriverd"]),
        .executable(name: "webcam-driver", targets: ["webcam-driver"]),
        .executable(name: "usbip-proxy", targets: ["usbip-proxy"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
    ],
    targets: [
        // The door to the kernel and to C libraries.
        .systemLibrary(
            name: "CLibUSB", pkgConfig: "libusb-1.0", providers: [.apt(["libusb-1.0-0-dev"])]),
        .target(name: "CLinux"),
        library("Threads", ["CLinux"]),
        .systemLibrary(
            name: "CTurboJPEG", pkgConfig: "libturbojpeg", providers: [.apt(["libturbojpeg0-dev"])]),
        .systemLibrary(name: "CPNG", pkgConfig: "libpng", providers: [.apt(["libpng-dev"])]),
        .systemLibrary(name: "CSeccomp", pkgConfig: "libseccomp", providers: [.apt(["libseccomp-dev"])]),
        .systemLibrary(name: "CLibCrypto", pkgConfig: "libcrypto", providers: [.apt(["libssl-dev"])]),
        .systemLibrary(name: "CYAML", pkgConfig: "yaml-0.1", providers: [.apt(["libyaml-dev"])]),
        .systemLibrary(name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),

        // USB core, its backends, the class protocols.
        library("USB"),
        library("USBIP", ["USB"]),
        library("FlightRecorder", ["USB", "CLinux"]),
        library("TransferRing", ["USB", "Threads", "CLinux"]),
        library("USBFS", ["USB", "TransferRing", "Threads", "CLinux"]),
        library("LibUSBHost", ["USBFS", "USB", "CLibUSB", "Threads", "CLinux"]),
        library("USBIPHost", ["USB", "USBIP", "TransferRing", "Threads", "CLinux"]),
        library("UVC", ["USB"]),

        // What processes share: messages, frames, children.
        library("FrameRing", ["CLinux"]),
        library("Wire", ["Threads", "CLinux"]),
        library("Sandbox", ["CLinux", "CSeccomp"]),
        library("Spawn", ["Sandbox", "CLinux"]),

        // Whose signature counts: SSH's keys, signatures and lists of signers.
        library("Trust", ["CLibCrypto"]),

        // Drivers on disk: manifests, who vouches for them, how they are installed.
        library("Bundles", ["Trust", "USB", "Wire", "Spawn", "CLinux", "CYAML"]),

        // Drivers, and who looks after them.
        library(
            "UserDriver", ["USB", "TransferRing", "FlightRecorder", "USBFS", "USBIPHost", "Wire", "FrameRing", "Threads", "CLinux"]),
        executable("webcam-driver", ["UserDriver", "UVC", "Threads", "CLinux"], exclude: ["driver.yaml"]),
        library(
            "Supervisor",
            [
                "Bundles", "USB", "TransferRing", "FlightRecorder", "USBIP", "LibUSBHost", "USBIPHost", "Wire", "FrameRing", "Spawn",
                "Sandbox", "Threads",
                "CLinux", log,
            ]),
        executable("usbip-proxy", ["USBIPHost", "TransferRing", "USB", "Wire", "CLinux"]),
        executable("userdriverd", ["Supervisor", "Bundles", "Wire", "Threads", "CLinux", log, signals, arguments]),

        // Clients.
        library("Pictures", ["CTurboJPEG", "CPNG", "CZlib"]),
        library("UserDriverClient", ["Wire", "FrameRing", "FlightRecorder", "USB", "Threads", "CLinux"]),
        library("DeviceStack", ["USB", "UVC", "USBIPHost", "USBIP", "Wire"]),
        executable(
            "UserDriverCLI",
            [
                "UserDriverClient", "Bundles", "Trust", "DeviceStack", "FlightRecorder", "FrameRing", "Wire", "USB", "UVC", "Pictures",
                "EmulatedWebcam",
                "USBEmulation", "Spawn", "Threads",
                "CLinux", arguments,
            ]),

        // The test bench: devices in software.
        library("USBEmulation", ["USB", "USBIP", "Threads", "CLinux"]),
        library("EmulatedWebcam", ["USBEmulation", "USB", "UVC", "Pictures", "Threads", "CLinux"]),

        // Figures against a yardstick in C.
        .target(name: "CBenchmarks"),
        executable("benchmarks", ["USB", "UVC", "Spawn", "Sandbox", "CBenchmarks"], path: "Sources/Benchmarks"),

        // Faults by the thousand.
        executable(
            "campaign", ["UserDriverClient", "Pictures", "Spawn", "Threads", "Wire", "CLinux", arguments, signals], path: "Sources/Campaign"
        ),

        // Tests. `fuzz` runs the parsers on bytes that nobody meant.
        executable(
            "fuzz",
            [
                "USB", "UVC", "USBIP", "USBEmulation", "Pictures", "Wire", "FrameRing", "FlightRecorder", "UserDriverClient", "Trust",
                "Bundles",
                "Spawn", "CLinux",
            ], path: "Sources/Fuzz"
        ),
        tests("Threads", ["CLinux"]),
        tests("USB"),
        tests("TransferRing", ["USB", "CLinux"]),
        tests("FlightRecorder", ["USB", "CLinux"]),
        tests("UVC", ["USB"]),
        .testTarget(
            name: "WebcamDriverTests", dependencies: ["webcam-driver", "UVC", "UserDriver", "Wire"], swiftSettings: swiftSettings),
        tests("Pictures"),
        tests("EmulatedWebcam", ["USBEmulation", "USB", "UVC", "Pictures", "Threads"]),
        tests("Spawn", ["Sandbox", "Threads", "CLinux"]),
        // A driver that misbehaves as it is told, for the supervisor's tests.
        executable("test-driver", ["Wire", "FrameRing", "CLinux"], path: "Tests/TestDriver"),
        // One that tries to get out of its sandbox.
        .target(name: "CAttempts", path: "Tests/CAttempts"),
        executable("hostile-driver", ["CAttempts", "Wire", "CLinux"], path: "Tests/HostileDriver"),
        tests("Trust"),
        tests("Bundles", ["Trust", "USB", "Wire", "Spawn", "CLinux"]),
        tests(
            "Supervisor",
            [
                "test-driver", "hostile-driver", "userdriverd", "Bundles", "Sandbox", "USB", "Wire", "FrameRing", "Spawn",
                "UserDriverClient", "CLinux", log,
            ]),
        tests("Wire", ["CLinux"]),
        tests("FrameRing", ["Threads", "CLinux"]),
        .target(
            name: "FakeDaemon", dependencies: ["UserDriverClient", "Wire", "FrameRing", "Threads", "CLinux"], path: "Tests/FakeDaemon",
            swiftSettings: swiftSettings),
        tests("UserDriverClient", ["FakeDaemon", "Wire", "FrameRing", "CLinux"]),
        tests(
            "UserDriverCLI",
            [
                "FakeDaemon", "UserDriverClient", "DeviceStack", "Wire", "FlightRecorder", "FrameRing", "Pictures", "Spawn", "USB", "UVC",
                "CLinux", arguments,
            ],
            exclude: ["Snapshots"]),
        tests("DeviceStack", ["EmulatedWebcam", "USBEmulation", "USB", "USBIPHost", "Wire"]),
        // A driver that means harm, for what the broker and the kernel must refuse it; in the virtual machine.
        .target(name: "CUsbfsAttempts", path: "Tests/CUsbfsAttempts"),
        executable("usbfs-intruder", ["CUsbfsAttempts", "USB", "Wire", "CLinux"], path: "Tests/UsbfsIntruder"),
        executable("usb-probe", ["LibUSBHost", "USBFS", "USB", "CLinux"], path: "Tests/usb-probe"),
        tests("USBFS", ["USB", "Threads", "CLinux"]),
        tests("LibUSBHost", ["usb-probe", "USB", "CLibUSB", "Threads", "CLinux"]),
        tests("USBIP", ["USB"]),
        tests("USBEmulation", ["USB", "USBIP", "CLinux"]),
        .testTarget(
            name: "EndToEndTests", dependencies: ["UserDriverClient", "Spawn", "Wire", "CLinux"], swiftSettings: swiftSettings),
        tests("USBIPHost", ["USB", "USBIP", "TransferRing", "USBEmulation", "CLinux"]),
    ]
)
