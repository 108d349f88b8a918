// The program usbip-proxy by itself. What is installed is driver-image, under this name.

import USBIPHost

@main
enum Entry {
    static func main() { USBIPProxyProcess.run() }
}
