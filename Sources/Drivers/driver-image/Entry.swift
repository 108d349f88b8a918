// What runs in a sandbox, in one executable: the drivers and usbip-proxy. It is each of them by the
// name that it is started under. Swift's runtime is in it once, and on the disk, too.

import Glibc
import ScannerDriver
import USBIPHost
import UserDriver
import WebcamDriver
import Wire

@main
enum Entry {
    static func main() {
        switch getenv(DriverContract.nameVariable).map({ String(cString: $0) }) {
        case WebcamDriver.name: DriverProcess.run(WebcamDriver.self)
        case ScannerDriver.name: DriverProcess.run(ScannerDriver.self)
        case USBIPProxyProcess.name: USBIPProxyProcess.run()
        default: exit(2)
        }
    }
}
