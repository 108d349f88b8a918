# One command each. Everything installs what it needs by itself.
SWIFT ?= swift
PREFIX ?= /usr
DESTDIR ?=
RELEASE = .build/release
# Where zsh looks: Debian keeps site-functions for what is installed in /usr/local.
ZSH_COMPLETIONS = zsh/$(if $(filter /usr,$(PREFIX)),vendor-completions,site-functions)
export USERDRIVER_BIN = $(CURDIR)/$(RELEASE)

# The muxer of `userdriver record`: C, by hand, since libavformat is for those who record and its ABI is each Debian release's own.
LIBUVC_YARDSTICK = $(RELEASE)/libuvc-yardstick.so
MUXER = $(RELEASE)/userdriver-mux
MUXER_LIBRARIES = libavformat libavcodec libavutil libseccomp
MUXER_FLAGS = -std=c17 -O2 -g -Wall -Wextra -Werror -fPIE -fstack-protector-strong -D_FORTIFY_SOURCE=2 -pie -Wl,-z,relro,-z,now -Wl,--build-id
MUXER_COMPILER = $(shell command -v clang || command -v cc)

# What tells Avahi of scanners, in the same way and for the same reason.
ANNOUNCER = $(RELEASE)/userdriver-announce
ANNOUNCER_LIBRARIES = avahi-client libseccomp

# PipeWire, where its headers are: Package.swift takes its flags from here, and makes something of CPipeWire with them only.
PIPEWIRE_FLAGS := $(shell pkg-config --cflags libpipewire-0.3 2>/dev/null)
ifneq ($(PIPEWIRE_FLAGS),)
export USERDRIVER_PIPEWIRE := $(PIPEWIRE_FLAGS)
endif

.PHONY: build build-tests build-record build-announce build-pipewire pipewire deb test-deb run test test-vm test-vm-ci lint format fuzz campaign campaign-scanner kit bench bench-instructions man udev install install-files install-web install-web-files install-escl install-escl-files install-pipewire install-pipewire-files install-dev install-debug clean dependencies

dependencies:
	@Scripts/dependencies

# What is installed and run. Everything else is built by the target that needs it.
PROGRAMS = userdriver userdriverd driver-image userdriver-video userdriver-web userdriver-escl
# Swift's runtime is linked in. lld, since it packs the relocations of position-independent code into an eighth (glibc 2.36 reads them).
RELEASE_BUILD = $(SWIFT) build -c release --static-swift-stdlib -Xswiftc -use-ld=lld -Xlinker -z -Xlinker pack-relative-relocs
build_products = for product in $(1); do $(RELEASE_BUILD) --product $$product || exit 1; done

# The library that `userdriver v4l2` preloads into programs: C and libc, nothing of Swift's. The toolchain's own compiler makes it.
CLANG ?= clang
PRELOAD = $(RELEASE)/userdriver-v4l2.so
PRELOAD_SOURCES = Sources/Surfaces/V4L2Preload
PRELOAD_FLAGS = -std=gnu11 -O2 -g -fPIC -fvisibility=hidden -Wall -Wextra -Werror -pthread -fuse-ld=lld -Wl,-z,defs -Wl,-z,relro,-z,now -Wl,--build-id

# The programs, and the drivers' bundles beside them.
build: dependencies preload
	@$(call build_products,$(PROGRAMS))
	@Scripts/bundles $(RELEASE)
	@! pkg-config --exists $(MUXER_LIBRARIES) || $(MAKE) --no-print-directory $(MUXER)
	@! pkg-config --exists $(ANNOUNCER_LIBRARIES) || $(MAKE) --no-print-directory $(ANNOUNCER)
	@[ -z "$(PIPEWIRE_FLAGS)" ] || $(MAKE) --no-print-directory pipewire

# `build` has it too where libavformat is; this one installs what it needs.
build-record:
	@Scripts/dependencies record
	@$(MAKE) --no-print-directory $(MUXER)

# The same for `userdriver-announce`.
build-announce:
	@Scripts/dependencies announce
	@$(MAKE) --no-print-directory $(ANNOUNCER)

# And for `userdriver-pipewire`.
build-pipewire: dependencies
	@Scripts/dependencies pipewire
	@$(MAKE) --no-print-directory pipewire

pipewire:
	@$(call build_products,userdriver-pipewire)

$(MUXER): $(wildcard Sources/Surfaces/userdriver-mux/*.[ch])
	@mkdir -p $(RELEASE)
	$(MUXER_COMPILER) $(MUXER_FLAGS) -o $@ $(filter %.c,$^) $$(pkg-config --cflags --libs $(MUXER_LIBRARIES))

$(ANNOUNCER): $(wildcard Sources/Surfaces/userdriver-announce/*.[ch])
	@mkdir -p $(RELEASE)
	$(MUXER_COMPILER) $(MUXER_FLAGS) -o $@ $(filter %.c,$^) $$(pkg-config --cflags --libs $(ANNOUNCER_LIBRARIES))

.PHONY: preload
preload: $(PRELOAD)
$(PRELOAD): $(wildcard $(PRELOAD_SOURCES)/*.[ch])
	@mkdir -p .build/$$(uname -m)-unknown-linux-gnu/release && [ -e .build/release ] || ln -sfn $$(uname -m)-unknown-linux-gnu/release .build/release
	@$(CLANG) $(PRELOAD_FLAGS) -shared -o $@.new $(PRELOAD_SOURCES)/*.c && mv $@.new $@

# Debian packages of that, for the release of Debian's that this machine is, in .build/deb (Scripts/debian).
deb: build
	@Scripts/dependencies deb
	@$(MAKE) --no-print-directory $(MUXER) $(ANNOUNCER) pipewire
	@Scripts/deb

# What is in them, by lintian too; that a second time makes the same bytes. `make test-vm SCENARIOS=packages` installs them.
test-deb: deb
	@Tests/packages
	@Tests/packages-life

run: build
	$(RELEASE)/userdriver up --emulate webcam

build-tests:
	$(SWIFT) build --build-tests -Xswiftc -gnone

# Unit tests are debug builds; the end-to-end tests among them drive the release executables. The supervisor's tests run one after the
# other (all of them share its thread), and the end-to-end tests after all others, whose processes would keep theirs waiting: two at a
# time, of which one counts frames by the clock (`EndToEndTests`) and the other does not (`EndToEndAsides`).
test: build build-tests
	$(SWIFT) test --skip-build --skip '^(SupervisorTests|VideoNodeTests|EndToEndTests)\.'
	$(SWIFT) test --skip-build --no-parallel --filter '^(SupervisorTests|VideoNodeTests)\.'
	$(SWIFT) test --skip-build --filter '^EndToEndTests\.'

# The scenarios in Tests/vm, in virtual machines with a real USB stack of Debian 12's or, with DEBIAN=13, of 13's. SCENARIOS="NAME…" runs some.
SCENARIOS ?=
DEBIAN ?= 12
test-vm: build
	@$(call build_products,campaign usb-probe usbfs-intruder)
	@Scripts/test-vm --release $(DEBIAN) $(SCENARIOS)

# Those that CI runs, on both: what the two systems have in common once, what differs twice.
test-vm-ci: build
	@$(call build_products,campaign usb-probe usbfs-intruder)
	@Scripts/test-vm --release 12 --ci
	@Scripts/test-vm --release 13 --ci

lint:
	$(SWIFT) format lint --strict --recursive --parallel --configuration .swift-format Package.swift Sources Tests Examples/thermometer/Package.swift Examples/thermometer/Sources Examples/thermometer/Tests Examples/logger/Package.swift Examples/logger/Sources Examples/logger/Tests
	@Scripts/lint

format:
	$(SWIFT) format --in-place --recursive --parallel --configuration .swift-format Package.swift Sources Tests Examples/thermometer/Package.swift Examples/thermometer/Sources Examples/thermometer/Tests Examples/logger/Package.swift Examples/logger/Sources Examples/logger/Tests

# A minute for each parser, or FUZZ_SECONDS. The same FUZZ_SEED makes the same inputs.
FUZZ_SECONDS ?= 60
FUZZ_SEED ?= 1
fuzz: build
	@$(call build_products,fuzz)
	$(RELEASE)/fuzz all --seconds $(FUZZ_SECONDS) --seed $(FUZZ_SEED) --corpus Tests/Corpus

# FAULTS injected into the drivers of emulated cameras while clients watch; CAMPAIGN for more (see campaign --help).
FAULTS ?= 300
SEED ?= 1
campaign: build
	@$(call build_products,campaign)
	$(RELEASE)/campaign --bin $(CURDIR)/$(RELEASE) --faults $(FAULTS) --seed $(SEED) $(CAMPAIGN)

# KILLS of driver, client and endpoint over a scanner's jobs; every page is compared with what the scanner sent.
KILLS ?= 60
campaign-scanner: build
	@$(call build_products,campaign)
	$(RELEASE)/campaign scanner --bin $(CURDIR)/$(RELEASE) --kills $(KILLS) --seed $(SEED) $(CAMPAIGN)

# A driver as `userdriver driver new` makes it, which is Examples/thermometer under another name: built, killed and unplugged under use. And the
# other example, killed in the middle of files.
kit: build
	rm -rf .build/kit && mkdir -p .build/kit
	cd .build/kit && ../release/userdriver driver new thermo && $(MAKE) -C thermo test
	cp -R Examples/logger .build/kit/ && USERDRIVER_CHECKOUT=$(CURDIR) $(MAKE) -C .build/kit/logger test

bench: build
	@$(call build_products,benchmarks)
	@Scripts/dependencies bench
	@$(MAKE) --no-print-directory $(LIBUVC_YARDSTICK)
	$(RELEASE)/benchmarks

$(LIBUVC_YARDSTICK): $(wildcard Sources/Bench/libuvc-yardstick/*.c Sources/Bench/CBenchmarks/*.c Sources/Bench/CBenchmarks/include/*.h)
	@mkdir -p $(RELEASE)
	$(CLANG) $(PRELOAD_FLAGS) -fvisibility=default -ISources/Bench/CBenchmarks/include -shared -o $@ $(filter %.c,$^) $$(pkg-config --cflags --libs libuvc libusb-1.0)

# Fails if a frame takes over 3 % more instructions than Tests/Figures/frame-instructions says. UPDATE=1 writes the figures there: after a change
# that is worth its cost, or with a new compiler. Needs valgrind.
bench-instructions: dependencies
	@$(call build_products,benchmarks)
	@Scripts/frame-instructions --$(if $(UPDATE),update,check)

# The manual pages in Docs/man, from the commands' own help.
man: build
	$(SWIFT) build --product generate-manual
	.build/debug/generate-manual $(RELEASE)/userdriver --output-directory Docs/man --multi-page
	.build/debug/generate-manual $(RELEASE)/userdriverd --output-directory Docs/man
	mkdir -p Docs/man/web Docs/man/escl
	.build/debug/generate-manual $(RELEASE)/userdriver-escl --output-directory Docs/man/escl
	.build/debug/generate-manual $(RELEASE)/userdriver-web --output-directory Docs/man/web
	[ -z "$(PIPEWIRE_FLAGS)" ] || .build/debug/generate-manual $(RELEASE)/userdriver-pipewire --output-directory Docs/man/pipewire
	rm -f Docs/man/userdriver.help.1
	Scripts/tidy-man Docs/man/*.1 Docs/man/web/*.1 Docs/man/escl/*.1 Docs/man/pipewire/*.1

# With DESTDIR nothing but files is installed; whoever unpacks them runs lib/userdriver/activate. `install-files` takes what is built; with STRIP=
# it leaves debug information to whoever packs the files.
STRIP ?= -s
install: build install-files

install-files:
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/lib/userdriver/drivers $(DESTDIR)$(PREFIX)/share/man/man1
	# The key that signed this build: its drivers are trusted by the daemon that is installed with them.
	install -m 644 $(RELEASE)/allowed_signers $(DESTDIR)$(PREFIX)/lib/userdriver/
	install -m 644 Docs/man/*.1 $(DESTDIR)$(PREFIX)/share/man/man1/
	for shell in bash:bash-completion/completions/userdriver zsh:$(ZSH_COMPLETIONS)/_userdriver fish:fish/vendor_completions.d/userdriver.fish; do \
		$(RELEASE)/userdriver --generate-completion-script $${shell%%:*} | sed '1{/^#!/d}' > $(RELEASE)/completions && \
		install -D -m 644 $(RELEASE)/completions $(DESTDIR)$(PREFIX)/share/$${shell#*:} || exit 1; done
	install $(STRIP) -m 755 $(RELEASE)/userdriver $(RELEASE)/userdriverd $(DESTDIR)$(PREFIX)/bin/
	install $(STRIP) -m 755 $(RELEASE)/userdriver-video $(DESTDIR)$(PREFIX)/lib/userdriver/
	install -m 755 $(RELEASE)/usbip-proxy $(DESTDIR)$(PREFIX)/lib/userdriver/
	install $(STRIP) -m 644 $(PRELOAD) $(DESTDIR)$(PREFIX)/lib/userdriver/
	[ ! -e $(MUXER) ] || install $(STRIP) -m 755 $(MUXER) $(DESTDIR)$(PREFIX)/lib/userdriver/
	for bundle in $(RELEASE)/*.driver; do \
		install -d $(DESTDIR)$(PREFIX)/lib/userdriver/drivers/$$(basename $$bundle) && \
		install -m 644 $$bundle/driver.yaml $$bundle/driver.yaml.sig $(DESTDIR)$(PREFIX)/lib/userdriver/drivers/$$(basename $$bundle)/ && \
		install -D -m 644 -t $(DESTDIR)$(PREFIX)/lib/userdriver/drivers/$$(basename $$bundle)/interfaces $$bundle/interfaces/*.varlink && \
		install -m 755 $$bundle/*-driver $(DESTDIR)$(PREFIX)/lib/userdriver/drivers/$$(basename $$bundle)/ || exit 1; done
	# Our drivers are one executable under several names, which the disk has once.
	Scripts/share-executables $(DESTDIR)$(PREFIX)/lib/userdriver/drivers
	install -D -m 755 Scripts/activate $(DESTDIR)$(PREFIX)/lib/userdriver/activate
	install -D -m 644 Udev/70-userdriver.rules $(DESTDIR)$(PREFIX)/lib/udev/rules.d/70-userdriver.rules
	install -D -m 644 Systemd/userdriver.sysusers.conf $(DESTDIR)$(PREFIX)/lib/sysusers.d/userdriver.conf
	install -D -m 644 Systemd/userdriver-video.sysusers.conf $(DESTDIR)$(PREFIX)/lib/sysusers.d/userdriver-video.conf
	install -D -m 644 Systemd/userdriver.yaml $(DESTDIR)$(PREFIX)/share/userdriver/userdriver.yaml
	install -d $(DESTDIR)$(PREFIX)/lib/systemd/system
	install -D -m 644 Systemd/userdriver-video.modules-load.conf $(DESTDIR)$(PREFIX)/lib/modules-load.d/userdriver-video.conf
	for unit in userdriverd.service userdriverd.socket userdriver-give-back.service userdriver-video.service userdriver-video-sleep.service; do \
		sed 's:/usr/bin/userdriverd:$(PREFIX)/bin/userdriverd:; s:/usr/lib/userdriver/:$(PREFIX)/lib/userdriver/:' Systemd/$$unit | \
		install -m 644 /dev/stdin $(DESTDIR)$(PREFIX)/lib/systemd/system/$$unit || exit 1; done
	[ -n "$(DESTDIR)" ] || $(PREFIX)/lib/userdriver/activate

# The page for browsers: userdriver-web.service serves it, and its link is in /run/userdriver-web/link.
install-web: build install-web-files
install-web-files:
	install -D $(STRIP) -m 755 $(RELEASE)/userdriver-web $(DESTDIR)$(PREFIX)/bin/userdriver-web
	install -d $(DESTDIR)$(PREFIX)/lib/systemd/system
	install -D -m 644 Docs/man/web/userdriver-web.1 $(DESTDIR)$(PREFIX)/share/man/man1/userdriver-web.1
	sed 's:/usr/bin/userdriver-web:$(PREFIX)/bin/userdriver-web:' Systemd/userdriver-web.service | \
		install -m 644 /dev/stdin $(DESTDIR)$(PREFIX)/lib/systemd/system/userdriver-web.service

# Cameras for the sessions of this machine's people, through PipeWire: a unit of each session's own, and rules for WirePlumber (0.4 and 0.5) by
# which a camera is not there twice.
install-pipewire: build-pipewire install-pipewire-files
	[ -n "$(DESTDIR)" ] || systemctl --global enable --quiet userdriver-pipewire.service

install-pipewire-files:
	install -D $(STRIP) -m 755 $(RELEASE)/userdriver-pipewire $(DESTDIR)$(PREFIX)/bin/userdriver-pipewire
	install -D -m 644 Docs/man/pipewire/userdriver-pipewire.1 $(DESTDIR)$(PREFIX)/share/man/man1/userdriver-pipewire.1
	install -d $(DESTDIR)$(PREFIX)/lib/systemd/user
	sed 's:/usr/bin/userdriver-pipewire:$(PREFIX)/bin/userdriver-pipewire:' Systemd/user/userdriver-pipewire.service | \
		install -m 644 /dev/stdin $(DESTDIR)$(PREFIX)/lib/systemd/user/userdriver-pipewire.service
	install -D -m 644 WirePlumber/60-userdriver.lua $(DESTDIR)$(PREFIX)/share/wireplumber/main.lua.d/60-userdriver.lua
	install -D -m 644 WirePlumber/60-userdriver.conf $(DESTDIR)$(PREFIX)/share/wireplumber/wireplumber.conf.d/60-userdriver.conf

# Scanners for SANE and other programs that speak eSCL: userdriver-escl.service serves them.
install-escl: build build-announce install-escl-files
install-escl-files:
	[ ! -e $(ANNOUNCER) ] || install -D $(STRIP) -m 755 $(ANNOUNCER) $(DESTDIR)$(PREFIX)/lib/userdriver/userdriver-announce
	install -D $(STRIP) -m 755 $(RELEASE)/userdriver-escl $(DESTDIR)$(PREFIX)/bin/userdriver-escl
	install -D -m 644 Docs/man/escl/userdriver-escl.1 $(DESTDIR)$(PREFIX)/share/man/man1/userdriver-escl.1
	install -d $(DESTDIR)$(PREFIX)/lib/systemd/system
	sed 's:/usr/bin/userdriver-escl:$(PREFIX)/bin/userdriver-escl:' Systemd/userdriver-escl.service | \
		install -m 644 /dev/stdin $(DESTDIR)$(PREFIX)/lib/systemd/system/userdriver-escl.service

# What drivers are built with: the framework's source, which fetches nothing by itself. For a package userdriver-dev.
SOURCE = $(DESTDIR)$(PREFIX)/share/userdriver/source
install-dev:
	install -d $(SOURCE)/Sources
	cp -R $(addprefix Sources/,System Planes USB Classes Contracts Framework) $(SOURCE)/Sources/
	sed 's/^let isFrameworkOnly = .*/let isFrameworkOnly = true/' Package.swift > $(SOURCE)/Package.swift

# Debug information of what `install` installs, where gdb looks for it: by build id.
install-debug: build
	for program in $(PROGRAMS); do \
		id=$$(readelf -n $(RELEASE)/$$program | sed -n 's/.*Build ID: //p') && [ -n "$$id" ] && \
		file=$(DESTDIR)$(PREFIX)/lib/debug/.build-id/$$(echo $$id | cut -c1-2)/$$(echo $$id | cut -c3-).debug && \
		install -d $$(dirname $$file) && objcopy --only-keep-debug $(RELEASE)/$$program $$file && chmod 644 $$file || exit 1; done

# udev's rules in Udev, from the drivers' match tables.
udev: build
	$(RELEASE)/userdriverd --print-udev-rules --drivers $(RELEASE) > Udev/70-userdriver.rules

clean:
	rm -rf .build
