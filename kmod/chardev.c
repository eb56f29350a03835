// SPDX-License-Identifier: GPL-2.0
/*
 * Receives: opens and calls of /dev/farlane/control and /dev/farlane/<name>. Hands on: calls of
 * the daemon to control.c, of applications to node.c. Owns: the device numbers, the open files.
 */
#include "chardev.h"

#include <linux/cdev.h>
#include <linux/module.h>
#include <linux/poll.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>

#include "compat/class.h"

#define CONTROL_MINOR 0
#define MINORS (FL_NODE_MINORS + 1)

static dev_t fl_numbers;
static struct cdev fl_cdev;

static char *fl_devnode(fl_compat_class_device *dev, umode_t *mode)
{
	if (mode)
		*mode = MINOR(dev->devt) == CONTROL_MINOR ? 0600 : 0660;
	return kasprintf(GFP_KERNEL, "farlane/%s", dev_name(dev));
}

static int fl_uevent(fl_compat_class_device *dev, struct kobj_uevent_env *env)
{
	const struct fl_function *f = dev_get_drvdata(dev);

	if (!f)
		return 0;
	return add_uevent_var(env, "FARLANE_PEER=%s", f->peer) ?:
	       add_uevent_var(env, "FARLANE_LEASE=%s", f->lease);
}

static struct class fl_class = {
	.name = "farlane",
	.devnode = fl_devnode,
	.dev_uevent = fl_uevent,
};

static int fl_open(struct inode *inode, struct file *file)
{
	struct fl_file *open = kzalloc(sizeof(*open), GFP_KERNEL_ACCOUNT);

	if (!open)
		return -ENOMEM;
	open->file = file;
	init_rwsem(&open->gate);
	if (iminor(inode) != CONTROL_MINOR) {
		open->node = fl_node_hold(iminor(inode));
		if (IS_ERR(open->node)) {
			int error = PTR_ERR(open->node);

			kfree(open);
			return error;
		}
	}
	file->private_data = open;
	return nonseekable_open(inode, file);
}

static int fl_release(struct inode *inode, struct file *file)
{
	struct fl_file *open = file->private_data;

	if (open->node)
		fl_node_let_go(open->node);
	else
		fl_daemon_left(open);
	kfree(open);
	return 0;
}

static long fl_ioctl(struct file *file, unsigned int number, unsigned long argument)
{
	struct fl_file *open = file->private_data;
	void __user *at = (void __user *)argument;

	if (number == FL_IOC_INFO)
		return fl_ioctl_info(at);
	return open->node ? fl_node_ioctl(open->node, number, at) :
			    fl_control_ioctl(open, number, at);
}

static int fl_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct fl_file *open = file->private_data;

	return open->node ? fl_node_mmap(open->node, vma) : fl_control_mmap(open, vma);
}

static ssize_t fl_read(struct file *file, char __user *to, size_t bytes, loff_t *at)
{
	struct fl_file *open = file->private_data;

	return open->node ? -EINVAL : fl_node_read_events(open, to, bytes);
}

static __poll_t fl_poll(struct file *file, poll_table *wait)
{
	struct fl_file *open = file->private_data;

	return open->node ? EPOLLERR : fl_node_poll_events(open, wait);
}

static ssize_t holder_show(struct device *dev, struct device_attribute *attribute, char *text)
{
	return fl_node_show_holder(dev_get_drvdata(dev), text);
}
static DEVICE_ATTR_RO(holder);

static struct attribute *fl_node_attrs[] = {
	&dev_attr_holder.attr,
	NULL,
};
ATTRIBUTE_GROUPS(fl_node);

struct device *fl_chardev_device(struct fl_function *f, unsigned int minor)
{
	return device_create_with_groups(&fl_class, NULL, fl_numbers + minor, f, fl_node_groups,
					 "%s", f->name);
}

void fl_chardev_device_destroy(unsigned int minor)
{
	device_destroy(&fl_class, fl_numbers + minor);
}

static const struct file_operations fl_fops = {
	.owner = THIS_MODULE,
	.open = fl_open,
	.release = fl_release,
	.unlocked_ioctl = fl_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.mmap = fl_mmap,
	.read = fl_read,
	.poll = fl_poll,
	.llseek = noop_llseek,
};

static int make_control(void)
{
	struct device *dev = device_create(&fl_class, NULL, fl_numbers + CONTROL_MINOR, NULL,
					   "control");

	return PTR_ERR_OR_ZERO(dev);
}

int fl_chardev_init(void)
{
	int error = class_register(&fl_class);

	if (error)
		return error;
	error = alloc_chrdev_region(&fl_numbers, 0, MINORS, "farlane");
	if (error)
		goto err_class;
	cdev_init(&fl_cdev, &fl_fops);
	error = cdev_add(&fl_cdev, fl_numbers, MINORS);
	if (error)
		goto err_numbers;
	error = make_control();
	if (error)
		goto err_cdev;
	return 0;
err_cdev:
	cdev_del(&fl_cdev);
err_numbers:
	unregister_chrdev_region(fl_numbers, MINORS);
err_class:
	class_unregister(&fl_class);
	return error;
}

/* No file is open and no function is left: the module's count and fl_device_exit() see to it. */
void fl_chardev_exit(void)
{
	fl_daemon_exit();
	rcu_barrier(); /* nodes on their way out */
	device_destroy(&fl_class, fl_numbers + CONTROL_MINOR);
	cdev_del(&fl_cdev);
	unregister_chrdev_region(fl_numbers, MINORS);
	class_unregister(&fl_class);
}
